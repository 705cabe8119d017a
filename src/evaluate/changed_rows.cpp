// Versions of rows stay as the server gives them, with large values where they are stored.
// Process: evaluator.
#include "evaluate/changed_rows.hpp"

#include "analyze/routing_conditions.hpp"
#include "analyze/tree.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
}

namespace live_queries {
namespace {

// A table as one place of a query reads it, and as all others do that are like it.
struct TableVersions {
  Oid table;
  bool with_children;
  List* identity;
  TupleTableSlot* slot;  // nullptr: there is no row
  List* rows;            // MinimalTuple
};

TableVersions* Find(const ChangedRows& rows, const RowFilter& filter) {
  ListCell* cell;
  foreach (cell, rows.tables) {
    auto* versions = static_cast<TableVersions*>(lfirst(cell));
    if (versions->table == filter.set->table &&
        versions->with_children == filter.relevant->table->inh &&
        equal(versions->identity, filter.set->identity))
      return versions;
  }
  return nullptr;
}

ParamListInfo ParamsOf(const StaleSet& set, const ValueSet* columns) {
  ParamListInfo params = makeParamList(list_length(set.columns));
  ListCell* cell;
  foreach (cell, set.columns) {
    const int i = foreach_current_index(cell);
    params->params[i] = {ToArray(columns[i]), false, PARAM_FLAG_CONST,
                         static_cast<SetColumn*>(lfirst(cell))->array_type};
  }
  return params;
}

void Keep(TableVersions* versions, TupleTableSlot* row) {
  if (versions->slot == nullptr)
    versions->slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(row->tts_tupleDescriptor),
                                              &TTSOpsMinimalTuple);
  versions->rows = lappend(versions->rows, ExecCopySlotMinimalTuple(row));
}

TableVersions* Read(const RowFilter& filter, const ValueSet* columns, int count, Snapshot before,
                    Snapshot after, MemoryContext context) {
  TableVersions* versions = AllocateIn<TableVersions>(context);
  versions->table = filter.set->table;
  versions->with_children = filter.relevant->table->inh;
  versions->identity = InMemoryContext(context, [&] { return list_copy(filter.set->identity); });
  ParamListInfo params = ParamsOf(*filter.set, columns);
  const PlannedStmt* plan = PlanQuery(filter.versions, params, count < kPlannedAnew);
  for (Snapshot snapshot : {before, after})
    if (snapshot != nullptr)
      Execute(plan, params, snapshot, 0,
              [&](TupleTableSlot* row) { InMemoryContext(context, [&] { Keep(versions, row); }); });
  return versions;
}

bool IsWatched(const RowFilter& filter, TupleTableSlot* row, const Watching& watching) {
  if (filter.routes == NIL) return true;
  Datum values[kMaxRoutingColumns] = {};
  bool nulls[kMaxRoutingColumns] = {};
  ListCell* cell;
  foreach (cell, filter.routes) {
    const int i = foreach_current_index(cell);
    values[i] = slot_getattr(row, lfirst_int(cell), &nulls[i]);
  }
  return watching.find(values, nulls, watching.context) != nullptr;
}

void AddIdentity(const StaleSet& set, TupleTableSlot* row, ValueSet* columns) {
  ListCell* cell;
  foreach (cell, set.identity) {
    bool is_null;
    const Datum value = slot_getattr(row, lfirst_int(cell), &is_null);
    AddValue(&columns[foreach_current_index(cell)], value, is_null);
  }
}

}  // namespace

ChangedRows* NoChangedRows() {
  ChangedRows* rows = AllocateIn<ChangedRows>(CurrentMemoryContext);
  rows->context = CurrentMemoryContext;
  return rows;
}

RowFilter* PrepareFilter(MemoryContext context, const StaleSet& set, List* routes) {
  if (set.relevant == nullptr || (set.relevant->conditions == NIL && routes == NIL)) return nullptr;
  return InMemoryContext(context, [&] {
    RowFilter* filter = AllocateIn<RowFilter>(context);
    filter->relevant = set.relevant;
    filter->routes = routes;
    filter->set = &set;
    filter->versions = KeepPlan(context, set.relevant->versions);
    Expr* all = expression_planner(make_ands_explicit(CopyOf(set.relevant->conditions)));
    filter->condition = ExecInitQual(make_ands_implicit(all), nullptr);
    filter->context = CreateStandaloneExprContext();
    return filter;
  });
}

ValueSet* FindRelevant(const RowFilter& filter, const ValueSet* columns, int count, Snapshot before,
                       Snapshot after, const Watching& watching, ChangedRows* rows) {
  const StaleSet& set = *filter.set;
  ValueSet* found = static_cast<ValueSet*>(palloc(sizeof(ValueSet) * list_length(set.columns)));
  for (int i = 0; i < list_length(set.columns); ++i)
    found[i] = MakeValueSet(CurrentMemoryContext, columns[i].type);
  TableVersions* versions = Find(*rows, filter);
  if (versions == nullptr) {
    versions = Read(filter, columns, count, before, after, rows->context);
    InMemoryContext(rows->context, [&] { rows->tables = lappend(rows->tables, versions); });
  }
  ListCell* cell;
  foreach (cell, versions->rows) {
    ExecStoreMinimalTuple(static_cast<MinimalTuple>(lfirst(cell)), versions->slot, false);
    filter.context->ecxt_scantuple = versions->slot;
    ResetExprContext(filter.context);
    if (ExecQual(filter.condition, filter.context) && IsWatched(filter, versions->slot, watching))
      AddIdentity(set, versions->slot, found);
  }
  return found;
}

}  // namespace live_queries
