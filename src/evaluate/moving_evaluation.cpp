// Rows that come are taken in before those that go are taken out, so that no group is without any
// on the way. Process: evaluator.
#include "evaluate/moving_evaluation.hpp"

#include "analyze/tree.hpp"
#include "evaluate/kept_groups.hpp"
#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
}

namespace live_queries {

struct MovingRow {
  MovingRow* next;
  Datum* values;
  bool* nulls;
};

struct MovingEvaluation {
  const MovingGroups* plan;
  List* inputs;  // RestrictedPlan*
  KeptPlan* members;
  int columns;  // of the groups
  Oid* types;   // beside those
  int16* lengths;
  bool* by_value;
  int aggregate_count;
  MovingAggregate* aggregates;
  int route_count;
  int* routes;  // which of the columns they are
  TupleTableSlot* group_row;
  ExprContext* expressions;
  ExprState* having;
  ProjectionInfo* result;
  KeptGroups* kept;
};

namespace {

// More of them are evaluated: what is kept would take more than it saves.
constexpr int kMostGroups = 1000;
constexpr uint64 kMostRowBytes = uint64{16} * 1024 * 1024;

// ----- once -----

TupleDesc GroupRowOf(const MovingGroups& plan) {
  TupleDesc descriptor =
      CreateTemplateTupleDesc(list_length(plan.groups) + list_length(plan.aggregates));
  AttrNumber number = 0;
  auto add = [&](const Node* value) {
    TupleDescInitEntry(descriptor, ++number, nullptr, exprType(value), exprTypmod(value), 0);
    TupleDescInitEntryCollation(descriptor, number, exprCollation(value));
  };
  ListCell* cell;
  foreach (cell, plan.groups) add(static_cast<Node*>(lfirst(cell)));
  foreach (cell, plan.aggregates)
    add(reinterpret_cast<const Node*>(static_cast<MovingInput*>(lfirst(cell))->aggregate));
  return Finished(descriptor);
}

void PrepareColumns(MovingEvaluation* moving) {
  const List* groups = moving->plan->groups;
  moving->columns = list_length(groups);
  const size_t count = static_cast<size_t>(moving->columns) + 1;
  moving->types = static_cast<Oid*>(palloc(sizeof(Oid) * count));
  moving->lengths = static_cast<int16*>(palloc(sizeof(int16) * count));
  moving->by_value = static_cast<bool*>(palloc(sizeof(bool) * count));
  ListCell* cell;
  foreach (cell, groups) {
    const int i = foreach_current_index(cell);
    moving->types[i] = exprType(static_cast<Node*>(lfirst(cell)));
    get_typlenbyval(moving->types[i], &moving->lengths[i], &moving->by_value[i]);
  }
}

// Returns false if a route is no column of the groups.
bool PrepareRoutes(const ResultEncoder& encoder, MovingEvaluation* moving) {
  moving->route_count = encoder.route_count;
  moving->routes =
      static_cast<int*>(palloc(sizeof(int) * (static_cast<size_t>(encoder.route_count) + 1)));
  for (int i = 0; i < encoder.route_count; ++i) {
    const auto* target = list_nth_node(TargetEntry, moving->plan->result, encoder.routes[i] - 1);
    if (!IsA(target->expr, Var)) return false;
    moving->routes[i] = reinterpret_cast<const Var*>(target->expr)->varattno - 1;
    if (moving->routes[i] >= moving->columns) return false;
  }
  return true;
}

void PrepareResult(MovingEvaluation* moving) {
  moving->group_row = MakeSingleTupleTableSlot(GroupRowOf(*moving->plan), &TTSOpsVirtual);
  moving->expressions = CreateStandaloneExprContext();
  moving->expressions->ecxt_scantuple = moving->group_row;
  List* targets = NIL;
  ListCell* cell;
  foreach (cell, moving->plan->result) {
    TargetEntry* target = CopyOf(lfirst_node(TargetEntry, cell));
    target->expr = expression_planner(target->expr);
    targets = lappend(targets, target);
  }
  TupleTableSlot* result = MakeSingleTupleTableSlot(ExecTypeFromTL(targets), &TTSOpsVirtual);
  moving->result = ExecBuildProjectionInfo(targets, moving->expressions, result, nullptr, nullptr);
  List* having = make_ands_implicit(reinterpret_cast<Expr*>(CopyOf(moving->plan->having)));
  having = castNode(List, AsNode(expression_planner(reinterpret_cast<Expr*>(having))));
  moving->having = ExecInitQual(having, nullptr);
}

// ----- one batch -----

struct Moving {
  MovingEvaluation* evaluation;
  const BatchSource* source;
  MemoryContext scratch;  // for one row
  KeptGroup* first;       // of those that it changes
  KeptGroup** end;
  int count;
  uint64 row_bytes;
  uint64 rows;
};

bool IsTooMuch(const Moving& moving) {
  return moving.count > kMostGroups || moving.row_bytes > kMostRowBytes;
}

// The values as they are told apart: in one form. In CurrentMemoryContext.
std::string_view TakeKey(const MovingEvaluation& evaluation, TupleTableSlot* row) {
  slot_getallattrs(row);
  return evaluation.kept->TakeKey(row->tts_values, row->tts_isnull);
}

KeptGroup* TouchedGroup(Moving* moving, std::string_view key, const TupleTableSlot* row) {
  KeptGroups* kept = moving->evaluation->kept;
  KeptGroup* group = kept->Find(key);
  if (group == nullptr) group = kept->Add(key, row->tts_values, row->tts_isnull);
  if (group->touched) return group;
  group->touched = true;
  group->come = group->gone = nullptr;
  group->next_touched = nullptr;
  *moving->end = group;
  moving->end = &group->next_touched;
  ++moving->count;
  return group;
}

MovingRow* CopyRow(const TupleTableSlot* row, uint64* bytes) {
  const TupleDesc descriptor = row->tts_tupleDescriptor;
  const auto count = static_cast<size_t>(descriptor->natts);
  MovingRow* copy = static_cast<MovingRow*>(palloc(sizeof(MovingRow)));
  copy->values = static_cast<Datum*>(palloc0(sizeof(Datum) * (count + 1)));
  copy->nulls = static_cast<bool*>(palloc0(sizeof(bool) * (count + 1)));
  *bytes += sizeof(MovingRow) + (sizeof(Datum) + sizeof(bool)) * (count + 1);
  for (int i = 0; i < descriptor->natts; ++i) {
    copy->nulls[i] = row->tts_isnull[i];
    if (copy->nulls[i]) continue;
    const auto* column = TupleDescAttr(descriptor, i);
    copy->values[i] = datumCopy(row->tts_values[i], column->attbyval, column->attlen);
    if (!column->attbyval)
      *bytes += datumGetSize(row->tts_values[i], column->attbyval, column->attlen);
  }
  return copy;
}

// Whether somebody is told of the group that a row is of.
bool IsWatched(const Moving& moving, const TupleTableSlot* row) {
  const MovingEvaluation& evaluation = *moving.evaluation;
  if (evaluation.route_count == 0) return true;
  const size_t count = static_cast<size_t>(evaluation.route_count);
  Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * count));
  bool* nulls = static_cast<bool*>(palloc(sizeof(bool) * count));
  for (int i = 0; i < evaluation.route_count; ++i) {
    values[i] = row->tts_values[evaluation.routes[i]];
    nulls[i] = row->tts_isnull[evaluation.routes[i]];
  }
  return moving.source->find_watched(values, nulls, moving.source->context) != nullptr;
}

// The group of a row that comes or goes; nullptr: nobody is told of it, and it is not kept.
KeptGroup* GroupOf(Moving* moving, TupleTableSlot* row) {
  const std::string_view key = TakeKey(*moving->evaluation, row);
  if (IsWatched(*moving, row)) return TouchedGroup(moving, key, row);
  KeptGroups* kept = moving->evaluation->kept;
  if (KeptGroup* group = kept->Find(key)) kept->Drop(group);
  return nullptr;
}

void TakeInput(Moving* moving, TupleTableSlot* row, bool has_come) {
  ++moving->rows;
  if (IsTooMuch(*moving)) return;
  MemoryContextReset(moving->scratch);
  KeptGroup* group = InMemoryContext(moving->scratch, [&] { return GroupOf(moving, row); });
  if (group == nullptr) return;
  MovingRow* copy = CopyRow(row, &moving->row_bytes);
  MovingRow** list = has_come ? &group->come : &group->gone;
  copy->next = *list;
  *list = copy;
}

// The rows that may have come or gone, by their groups. Those that are there before and after are
// among both. Returns false if they are too many.
bool ReadInputs(Moving* moving, const SnapshotPair& snapshots, StaleValues* values) {
  ListCell* cell;
  foreach (cell, moving->evaluation->inputs) {
    const auto& input = *static_cast<RestrictedPlan*>(lfirst(cell));
    if (!values->any[input.set]) continue;
    const PlannedStmt* plan = PlanFor(input.plan, *values);
    Execute(plan, values->params.after, snapshots.after, 0,
            [&](TupleTableSlot* row) { TakeInput(moving, row, true); });
    if (!IsEmptyBefore(values, input.set))
      Execute(plan, values->params.before, snapshots.before, 0,
              [&](TupleTableSlot* row) { TakeInput(moving, row, false); });
    if (IsTooMuch(*moving)) return false;
  }
  return true;
}

template <class Visit>
void ForEachGroup(const Moving& moving, Visit&& visit) {
  for (KeptGroup* group = moving.first; group != nullptr; group = group->next_touched) visit(group);
}

void TakeMember(const MovingEvaluation& evaluation, const Datum* values, const bool* nulls,
                KeptGroup* group) {
  for (int i = 0; i < evaluation.aggregate_count; ++i)
    TakeIn(evaluation.aggregates[i], values, nulls, &group->states[i]);
  ++group->rows;
}

// Reads all rows of the groups that are not known, at one snapshot.
void ReadUnknown(Moving* moving, const StaleSets& sets, Snapshot snapshot, ParamListInfo params,
                 StaleValues* values) {
  const MovingEvaluation& evaluation = *moving->evaluation;
  const size_t count = static_cast<size_t>(evaluation.columns) + 1;
  ValueSet* columns = static_cast<ValueSet*>(palloc(sizeof(ValueSet) * count));
  for (int i = 0; i < evaluation.columns; ++i)
    columns[i] = MakeValueSet(CurrentMemoryContext, evaluation.types[i]);
  bool any = false;
  ForEachGroup(*moving, [&](KeptGroup* group) {
    if (group->known) return;
    any = true;
    for (int i = 0; i < evaluation.columns; ++i)
      AddValue(&columns[i], group->values[i], group->nulls[i]);
  });
  if (!any) return;
  LIVE_QUERIES_FAULT("evaluator-read-group");
  TakeValues(*static_cast<StaleSet*>(list_nth(sets.plan->sets, evaluation.plan->set)), columns,
             values);
  const PlannedStmt* plan = PlanFor(evaluation.members, *values);
  Execute(plan, params, snapshot, 0, [&](TupleTableSlot* row) {
    ++moving->rows;
    MemoryContextReset(moving->scratch);
    InMemoryContext(moving->scratch, [&] {
      // Of several columns, the values are found one by one: there may be other groups.
      KeptGroup* group = evaluation.kept->Find(TakeKey(evaluation, row));
      if (group != nullptr && group->touched && !group->known)
        TakeMember(evaluation, row->tts_values, row->tts_isnull, group);
    });
  });
  ForEachGroup(*moving, [](KeptGroup* group) { group->known = true; });
}

// In the memory of one row.
void BeginRow() {
  CHECK_FOR_INTERRUPTS();
  MemoryContextReset(CurrentMemoryContext);
}

// Returns whether all rows that have gone could be taken out. In a context for one row.
bool MoveOn(const MovingEvaluation& evaluation, KeptGroup* group) {
  for (const MovingRow* row = group->come; row != nullptr; row = row->next) {
    BeginRow();
    TakeMember(evaluation, row->values, row->nulls, group);
  }
  for (const MovingRow* row = group->gone; row != nullptr; row = row->next) {
    BeginRow();
    for (int i = 0; i < evaluation.aggregate_count; ++i)
      if (!TakeOut(evaluation.aggregates[i], row->values, row->nulls, &group->states[i]))
        return false;
    if (--group->rows < 0) elog(ERROR, "a row has left a group of a live query that had none");
  }
  return true;
}

void MoveAll(Moving* moving) {
  const MovingEvaluation& evaluation = *moving->evaluation;
  InMemoryContext(moving->scratch, [&] {
    ForEachGroup(*moving, [&](KeptGroup* group) {
      if (MoveOn(evaluation, group)) return;
      for (int i = 0; i < evaluation.aggregate_count; ++i)
        ResetState(evaluation.aggregates[i], &group->states[i]);
      group->rows = 0;
      group->known = false;
    });
  });
}

// The row of the result; nullptr: there is none.
TupleTableSlot* RowOf(const MovingEvaluation& evaluation, const KeptGroup& group) {
  if (group.rows == 0 && !evaluation.plan->without_rows) return nullptr;
  ResetExprContext(evaluation.expressions);
  TupleTableSlot* row = ExecClearTuple(evaluation.group_row);
  for (int i = 0; i < evaluation.columns; ++i) {
    row->tts_values[i] = group.values[i];
    row->tts_isnull[i] = group.nulls[i];
  }
  InMemoryContext(evaluation.expressions->ecxt_per_tuple_memory, [&] {
    for (int i = 0; i < evaluation.aggregate_count; ++i)
      row->tts_values[evaluation.columns + i] = ResultOf(evaluation.aggregates[i], group.states[i],
                                                         &row->tts_isnull[evaluation.columns + i]);
  });
  ExecStoreVirtualTuple(row);
  if (!ExecQual(evaluation.having, evaluation.expressions)) return nullptr;
  return ExecProject(evaluation.result);
}

}  // namespace

MovingEvaluation* PrepareMoving(MemoryContext context, const MovingGroups& plan,
                                const ResultEncoder& encoder) {
  return InMemoryContext(context, [&]() -> MovingEvaluation* {
    MovingEvaluation* moving = AllocateIn<MovingEvaluation>(context);
    moving->plan = &plan;
    PrepareColumns(moving);
    if (!PrepareRoutes(encoder, moving)) return nullptr;
    moving->inputs = PrepareRestricted(context, plan.inputs);
    moving->members = KeepPlan(context, plan.members);
    moving->aggregate_count = list_length(plan.aggregates);
    moving->aggregates = static_cast<MovingAggregate*>(
        palloc(sizeof(MovingAggregate) * (static_cast<size_t>(moving->aggregate_count) + 1)));
    ListCell* cell;
    foreach (cell, plan.aggregates)
      moving->aggregates[foreach_current_index(cell)] =
          MakeMovingAggregate(static_cast<MovingInput*>(lfirst(cell)));
    PrepareResult(moving);
    moving->kept = KeptGroups::Create(context, moving->lengths, moving->by_value, moving->columns,
                                      moving->aggregates, moving->aggregate_count);
    return moving;
  });
}

int SetOfMoving(const MovingEvaluation& moving) { return moving.plan->set; }

void ForgetMoving(MovingEvaluation* moving) { moving->kept->DropAll(); }

Moved MoveGroups(MovingEvaluation* evaluation, const StaleSets& sets, const SnapshotPair& snapshots,
                 const BatchSource& source, StaleValues* values,
                 void (*take)(TupleTableSlot* row, int side, void* context), void* context) {
  for (int i = 0; i < evaluation->aggregate_count; ++i) CheckMayCall(evaluation->aggregates[i]);
  Moving moving = {};
  moving.evaluation = evaluation;
  moving.source = &source;
  moving.scratch =
      AllocSetContextCreate(CurrentMemoryContext, "live_queries moved row", ALLOCSET_DEFAULT_SIZES);
  moving.end = &moving.first;
  evaluation->kept->Begin();
  if (!ReadInputs(&moving, snapshots, values)) {
    evaluation->kept->DropAll();
    return {false, 0, moving.rows};
  }
  ReadUnknown(&moving, sets, snapshots.before, values->params.before, values);
  auto tell = [&](int side) {
    ForEachGroup(moving, [&](KeptGroup* group) {
      if (TupleTableSlot* row = RowOf(*evaluation, *group)) take(row, side, context);
    });
  };
  tell(-1);
  LIVE_QUERIES_FAULT("evaluator-move");
  MoveAll(&moving);
  ReadUnknown(&moving, sets, snapshots.after, values->params.after, values);
  tell(1);
  uint64 groups = 0;
  for (KeptGroup* group = moving.first; group != nullptr;) {
    KeptGroup* next = group->next_touched;
    group->touched = false;
    ++groups;
    if (group->rows == 0)
      evaluation->kept->Drop(group);
    else
      KeptGroups::Touch(group);
    group = next;
  }
  evaluation->kept->End();
  return {true, groups, moving.rows};
}

}  // namespace live_queries
