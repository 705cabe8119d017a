// The two by two of old and new row, each in the result or not, as README.md in this folder has it:
// which of the four cases a change is, and the message that comes of it. Process: decoder.
#include "match/evaluate.hpp"

#include "decode/watched_tables.hpp"
#include "model/gather_common.hpp"
#include "model/message.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "template/guard.hpp"
#include "template/routing_index.hpp"

extern "C" {
#include "access/detoast.h"
#include "access/htup_details.h"
#include "executor/executor.h"
#include "utils/datum.h"
}

namespace live_queries {

namespace {

DecodedRow TakeRowApart(HeapTupleData* tuple, TupleDesc descriptor) {
  if (tuple->t_data == nullptr) return {};
  DecodedRow row = {true, static_cast<Datum*>(palloc(sizeof(Datum) * descriptor->natts)),
                    static_cast<bool*>(palloc(sizeof(bool) * descriptor->natts))};
  heap_deform_tuple(tuple, descriptor, row.values, row.nulls);
  return row;
}

bool IsOnDisk(const FormData_pg_attribute& attribute, Datum value) {
  return attribute.attlen == -1 && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
}

// Fills `slot` with the columns that the template uses.
void FillSlot(TupleTableSlot* slot, const DecodedRow& row, const ColumnMap& map,
              const QuerySpec& spec) {
  ExecClearTuple(slot);
  memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
  ListCell* cell;
  foreach (cell, spec.columns) {
    const int to = lfirst_node(Var, cell)->varattno - 1;
    const int from = map.positions[foreach_current_index(cell)];
    slot->tts_values[to] = row.values[from];
    slot->tts_isnull[to] = row.nulls[from];
  }
  ExecStoreVirtualTuple(slot);
}

// An update that did not touch a large value logs only where it is. Without an old row that has it,
// it is read from there, where it stays until vacuum has removed the row.
void FetchLeftValues(TupleTableSlot* slot, const QuerySpec& spec, MemoryContext memory) {
  ListCell* cell;
  foreach (cell, spec.columns) {
    const int i = lfirst_node(Var, cell)->varattno - 1;
    if (slot->tts_isnull[i] ||
        !IsOnDisk(*TupleDescAttr(slot->tts_tupleDescriptor, i), slot->tts_values[i]))
      continue;
    auto* value = reinterpret_cast<struct varlena*>(DatumGetPointer(slot->tts_values[i]));
    WhileDoing(Doing::kFetching, [&] {
      InMemoryContext(memory, [&] { slot->tts_values[i] = PointerGetDatum(detoast_attr(value)); });
    });
  }
}

// One side of a change.
struct Side {
  TupleTableSlot* row;
  ProjectionInfo* result;
  RouteSet* routes;  // of whom such a row may be for
  bool present;
  bool matches;
  bool projected;
};

bool Matches(StreamTemplate* stream, TupleTableSlot* row) {
  stream->expressions->ecxt_scantuple = row;
  return ExecQual(stream->barrier_quals, stream->expressions) &&
         ExecQual(stream->quals, stream->expressions);
}

TupleTableSlot* Project(StreamTemplate* stream, Side* side) {
  if (!side->projected) {
    stream->expressions->ecxt_scantuple = side->row;
    ExecProject(side->result);
    side->projected = true;
  }
  return side->result->pi_state.resultslot;
}

bool SameColumn(const TupleTableSlot* a, const TupleTableSlot* b, int column) {
  if (a->tts_isnull[column] != b->tts_isnull[column]) return false;
  if (a->tts_isnull[column]) return true;
  const FormData_pg_attribute* attribute = TupleDescAttr(a->tts_tupleDescriptor, column);
  return datum_image_eq(a->tts_values[column], b->tts_values[column], attribute->attbyval,
                        attribute->attlen);
}

bool SameKey(const QuerySpec& spec, const Side& a, const Side& b) {
  ListCell* cell;
  foreach (cell, spec.key)
    if (!SameColumn(a.row, b.row, lfirst_int(cell) - 1)) return false;
  return true;
}

bool SameResult(TupleTableSlot* a, TupleTableSlot* b) {
  for (int i = 0; i < a->tts_tupleDescriptor->natts; ++i)
    if (!SameColumn(a, b, i)) return false;
  return true;
}

struct Evaluation {
  StreamTemplate* stream;
  const QuerySpec& spec;
  Touched* touched;
};

// Adds one change, which is written once for all, to each of `routes`.
template <class Write>
void AddToAll(const Evaluation& at, Routes routes, Write&& write) {
  for (Route* route : routes) {
    StringInfoSink sink = AddChange(route, at.touched);
    write(sink);
  }
}

void AddInsert(const Evaluation& at, Side* side, Routes routes) {
  TupleTableSlot* result = Project(at.stream, side);
  const std::string_view key = KeyJson(at.stream->encoder, side->row, result);
  const std::string_view row = RowJson(at.stream->encoder, result);
  AddToAll(at, routes, [&](StringInfoSink& sink) { WriteInsert(sink, key, row); });
}

void AddDelete(const Evaluation& at, Side* side, Routes routes) {
  TupleTableSlot* result = Project(at.stream, side);
  const std::string_view key = KeyJson(at.stream->encoder, side->row, result);
  const std::string_view row = RowJson(at.stream->encoder, result, [&](int column) {
    return at.stream->column_in_identity[column];
  });
  AddToAll(at, routes, [&](StringInfoSink& sink) { WriteDelete(sink, key, row); });
}

// Both rows are in the result of the same subscriptions.
void AddUpdate(const Evaluation& at, Side* before, Side* after, Routes routes) {
  TupleTableSlot* old_result = Project(at.stream, before);
  TupleTableSlot* new_result = Project(at.stream, after);
  const bool complete = at.spec.full_identity;
  if (at.spec.bag || !SameKey(at.spec, *before, *after)) {
    if (at.spec.bag && SameResult(old_result, new_result)) return;
    AddDelete(at, before, routes);
    AddInsert(at, after, routes);
    return;
  }
  if ((complete || at.stream->shows_identity_only) && SameResult(old_result, new_result)) return;
  const std::string_view key = KeyJson(at.stream->encoder, after->row, new_result);
  const std::string_view row = RowJson(at.stream->encoder, new_result);
  std::string_view old_json;
  if (complete)
    old_json = RowJson(at.stream->encoder, old_result,
                       [&](int column) { return !SameColumn(old_result, new_result, column); });
  AddToAll(at, routes, [&](StringInfoSink& sink) { WriteUpdate(sink, key, row, old_json); });
}

// An update that left the replica identity alone, the only part of the old row that is logged: the
// condition holds before and after, or neither. What else changed is not known.
void AddUnknownUpdate(const Evaluation& at, Side* after, Routes routes) {
  if (at.stream->shows_identity_only) return;
  TupleTableSlot* result = Project(at.stream, after);
  const std::string_view key = KeyJson(at.stream->encoder, after->row, result);
  const std::string_view row = RowJson(at.stream->encoder, result);
  AddToAll(at, routes, [&](StringInfoSink& sink) { WriteUpdate(sink, key, row, {}); });
}

const char* WhyUnusable(const ColumnMap& map, const Change& change) {
  if (!map.fits) return "the table was altered since these rows were written";
  const bool knows_rows =
      map.keeps_rows_apart && (change.kind == ChangeKind::kInsert || map.knows_old_rows);
  if (!knows_rows && !LIVE_QUERIES_MUTATION("trust_any_identity"))
    return "the table had another key or replica identity when these rows were changed";
  return nullptr;
}

// Whom a row may be for. The operators of a type of the user's are his as well.
void FindSide(Template* common, const DecodedRow& row, const ColumnMap& map, Side* side) {
  side->present = row.present;
  side->routes->Clear();
  if (!row.present) return;
  FillSlot(side->row, row, map, common->spec);
  WhileDoing(Doing::kRouting, [&] { FindRoutes(common->routing, side->row, side->routes); });
}

// Evaluates what is told of rows of `routes`, if there are any: it is their fault alone, and
// nothing of it may reach another.
template <class Tell>
void TellAll(Routes routes, Tell&& tell) {
  if (!routes.empty()) BlamingRoutes(routes, [&] { tell(routes); });
}

void FindMatches(const Evaluation& at, Side* before, Side* after) {
  TellAll(before->routes->All(),
          [&](Routes) { before->matches = Matches(at.stream, before->row); });
  TellAll(after->routes->All(), [&](Routes) {
    FetchLeftValues(after->row, at.spec, CurrentMemoryContext);
    after->matches = Matches(at.stream, after->row);
  });
}

// Tells each side's subscriptions what they see of a change: those who have both rows of an update,
// the others of a delete or insert. The two sides share an expression only for the former.
void EvaluateSides(const Evaluation& at, ChangeKind kind, Side* before, Side* after) {
  FindMatches(at, before, after);
  if (before->matches || after->matches) ++at.touched->matched;
  const auto old_routes = before->matches ? before->routes->All() : std::span<Route*>();
  const auto new_routes = after->matches ? after->routes->All() : std::span<Route*>();
  if (kind == ChangeKind::kUpdate && !before->present)
    return TellAll(new_routes, [&](Routes routes) { AddUnknownUpdate(at, after, routes); });
  const size_t both = GatherCommon(old_routes, new_routes);
  TellAll(new_routes.first(both), [&](Routes routes) { AddUpdate(at, before, after, routes); });
  TellAll(old_routes.subspan(both), [&](Routes routes) { AddDelete(at, before, routes); });
  TellAll(new_routes.subspan(both), [&](Routes routes) { AddInsert(at, after, routes); });
}

}  // namespace

void TakeApart(DecodedChange* decoded) {
  if (decoded->taken_apart) return;
  decoded->taken_apart = true;
  TupleDesc descriptor = decoded->change.shape->descriptor;
  decoded->old_row = TakeRowApart(&decoded->change.old_row, descriptor);
  decoded->new_row = TakeRowApart(&decoded->change.new_row, descriptor);
  if (!decoded->old_row.present || !decoded->new_row.present) return;
  for (int i = 0; i < descriptor->natts; ++i) {
    DecodedRow& after = decoded->new_row;
    const DecodedRow& before = decoded->old_row;
    if (after.nulls[i] || before.nulls[i]) continue;
    if (!IsOnDisk(*TupleDescAttr(descriptor, i), after.values[i])) continue;
    after.values[i] = before.values[i];
  }
}

const char* Evaluate(StreamTemplate* stream, DecodedChange* decoded, Touched* touched) {
  const QuerySpec& spec = stream->common->spec;
  const ColumnMap* map = MapFor(&stream->maps, stream->context, spec, decoded->change.shape);
  if (const char* problem = WhyUnusable(*map, decoded->change)) return problem;
  TakeApart(decoded);
  ResetExprContext(stream->expressions);
  MemoryContext outer = MemoryContextSwitchTo(stream->expressions->ecxt_per_tuple_memory);
  Side before = {stream->old_row, stream->old_result, &stream->old_routes};
  Side after = {stream->new_row, stream->new_result, &stream->new_routes};
  FindSide(stream->common, decoded->old_row, *map, &before);
  FindSide(stream->common, decoded->new_row, *map, &after);
  EvaluateSides({stream, spec, touched}, decoded->change.kind, &before, &after);
  MemoryContextSwitchTo(outer);
  return nullptr;
}

void EvaluateClear(Template* common, Touched* touched) {
  ForEachRoute(
      common,
      [](Route* route, void* context) {
        StringInfoSink sink = AddChange(route, static_cast<Touched*>(context));
        WriteClear(sink);
      },
      touched);
}

}  // namespace live_queries
