// The two by two of old and new row, matching or not. Process: decoder.
#include "match/evaluate.hpp"

#include "decode/watched_tables.hpp"
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
    slot->tts_values[i] = WhileDoing(Doing::kFetching, [&] {
      return InMemoryContext(memory, [&] { return PointerGetDatum(detoast_attr(value)); });
    });
  }
}

// One side of a change.
struct Side {
  TupleTableSlot* row;
  ProjectionInfo* result;
  bool present;
  Route* route;  // nullptr: no subscription wants such a row
  bool matches;
  bool projected;
};

bool Matches(CompiledTemplate* compiled, TupleTableSlot* row) {
  compiled->expressions->ecxt_scantuple = row;
  return ExecQual(compiled->barrier_quals, compiled->expressions) &&
         ExecQual(compiled->quals, compiled->expressions);
}

TupleTableSlot* Project(CompiledTemplate* compiled, Side* side) {
  if (!side->projected) {
    compiled->expressions->ecxt_scantuple = side->row;
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

bool SameKey(const Template& one, const Side& a, const Side& b) {
  ListCell* cell;
  foreach (cell, one.spec.key)
    if (!SameColumn(a.row, b.row, lfirst_int(cell) - 1)) return false;
  return true;
}

bool SameResult(TupleTableSlot* a, TupleTableSlot* b) {
  for (int i = 0; i < a->tts_tupleDescriptor->natts; ++i)
    if (!SameColumn(a, b, i)) return false;
  return true;
}

void AppendJson(StringInfo out, FmgrInfo* to_json, Datum value, bool is_null) {
  if (is_null) {
    appendStringInfoString(out, "null");
    return;
  }
  const text* json = DatumGetTextPP(FunctionCall1(to_json, value));
  appendBinaryStringInfo(out, VARDATA_ANY(json), static_cast<int>(VARSIZE_ANY_EXHDR(json)));
}

// As row_to_json gives it, of the columns for which `wanted` holds.
template <class Wanted>
std::string_view RowJson(CompiledTemplate* compiled, TupleTableSlot* result, Wanted&& wanted) {
  StringInfoData out;
  initStringInfo(&out);
  appendStringInfoChar(&out, '{');
  for (int i = 0; i < result->tts_tupleDescriptor->natts; ++i) {
    if (!wanted(i)) continue;
    if (out.len > 1) appendStringInfoChar(&out, ',');
    appendBinaryStringInfo(&out, compiled->column_names[i].data, compiled->column_names[i].len);
    AppendJson(&out, &compiled->column_json[i], result->tts_values[i], result->tts_isnull[i]);
  }
  appendStringInfoChar(&out, '}');
  return View(out);
}

// The key of a bag, with the separators of json_build_array, which makes that of the snapshot.
std::string_view WholeRow(CompiledTemplate* compiled, TupleTableSlot* result) {
  StringInfoData out;
  initStringInfo(&out);
  appendStringInfoChar(&out, '[');
  for (int i = 0; i < result->tts_tupleDescriptor->natts; ++i) {
    if (i > 0) appendStringInfoString(&out, ", ");
    AppendJson(&out, &compiled->column_json[i], result->tts_values[i], result->tts_isnull[i]);
  }
  appendStringInfoChar(&out, ']');
  return View(out);
}

std::string_view KeyJson(CompiledTemplate* compiled, const Side& side, TupleTableSlot* result) {
  if (compiled->key == nullptr) return WholeRow(compiled, result);
  compiled->expressions->ecxt_scantuple = side.row;
  bool is_null;
  const text* key = DatumGetTextPP(ExecEvalExpr(compiled->key, compiled->expressions, &is_null));
  return {VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)};
}

StringInfoSink Begin(Route* route, Touched* touched) {
  if (!route->touched) {
    route->touched = true;
    route->next_touched = touched->first;
    touched->first = route;
  }
  if (route->body.data == nullptr)
    InMemoryContext(route->owner->context, [&] { initStringInfo(&route->body); });
  if (route->body.len >= static_cast<int>(kMessageSplitBytes)) touched->long_bodies = true;
  if (route->body.len > 0) appendStringInfoChar(&route->body, ',');
  ++route->change_count;
  return StringInfoSink{&route->body};
}

struct Evaluation {
  Template* one;
  CompiledTemplate* compiled;
  Touched* touched;
};

void AddInsert(const Evaluation& at, Side* side) {
  TupleTableSlot* result = Project(at.compiled, side);
  const std::string_view key = KeyJson(at.compiled, *side, result);
  const std::string_view row = RowJson(at.compiled, result, [](int) { return true; });
  StringInfoSink sink = Begin(side->route, at.touched);
  WriteInsert(sink, key, row);
}

void AddDelete(const Evaluation& at, Side* side) {
  TupleTableSlot* result = Project(at.compiled, side);
  const std::string_view key = KeyJson(at.compiled, *side, result);
  const std::string_view row = RowJson(
      at.compiled, result, [&](int column) { return at.compiled->column_in_identity[column]; });
  StringInfoSink sink = Begin(side->route, at.touched);
  WriteDelete(sink, key, row);
}

// Whether the result shows columns of the replica identity alone.
bool ShowsIdentityOnly(const Evaluation& at) {
  for (int i = 0; i < list_length(at.one->spec.result_columns); ++i)
    if (!at.compiled->column_in_identity[i]) return false;
  return !at.one->spec.full_identity;
}

// Both rows are in the result of the same subscriptions.
void AddUpdate(const Evaluation& at, Side* before, Side* after) {
  TupleTableSlot* old_result = Project(at.compiled, before);
  TupleTableSlot* new_result = Project(at.compiled, after);
  const bool complete = at.one->spec.full_identity;
  if (at.one->spec.bag || !SameKey(*at.one, *before, *after)) {
    if (at.one->spec.bag && SameResult(old_result, new_result)) return;
    AddDelete(at, before);
    AddInsert(at, after);
    return;
  }
  if ((complete || ShowsIdentityOnly(at)) && SameResult(old_result, new_result)) return;
  const std::string_view key = KeyJson(at.compiled, *after, new_result);
  const std::string_view row = RowJson(at.compiled, new_result, [](int) { return true; });
  std::string_view old_json;
  if (complete)
    old_json = RowJson(at.compiled, old_result,
                       [&](int column) { return !SameColumn(old_result, new_result, column); });
  StringInfoSink sink = Begin(after->route, at.touched);
  WriteUpdate(sink, key, row, old_json);
}

// An update that left the replica identity alone, the only part of the old row that is logged: the
// condition holds before and after, or neither. What else changed is not known.
void AddUnknownUpdate(const Evaluation& at, Side* after) {
  if (ShowsIdentityOnly(at)) return;
  TupleTableSlot* result = Project(at.compiled, after);
  const std::string_view key = KeyJson(at.compiled, *after, result);
  const std::string_view row = RowJson(at.compiled, result, [](int) { return true; });
  StringInfoSink sink = Begin(after->route, at.touched);
  WriteUpdate(sink, key, row, {});
}

const char* WhyUnusable(const ColumnMap& map, const Change& change) {
  if (!map.fits) return "the table was altered since these rows were written";
  if (change.kind != ChangeKind::kInsert && !map.knows_old_rows &&
      !LIVE_QUERIES_MUTATION("trust_any_identity"))
    return "the table had another key or replica identity when these rows were changed";
  return nullptr;
}

// Which subscriptions a row may be for. The operators of a type of the user's are his as well.
void FindSide(Template* one, const DecodedRow& row, const ColumnMap& map, Side* side) {
  side->present = row.present;
  if (!row.present) return;
  FillSlot(side->row, row, map, one->spec);
  side->route = WhileDoing(Doing::kRouting, [&] { return FindRoute(one, side->row); });
}

// Tells each side's subscriptions what they see of a change. The two sides share an expression only
// where both rows belong to the same subscriptions.
void EvaluateSides(const Evaluation& at, ChangeKind kind, Side* before, Side* after) {
  if (before->route != nullptr)
    BlamingRoute(before->route, [&] { before->matches = Matches(at.compiled, before->row); });
  if (after->route != nullptr)
    BlamingRoute(after->route, [&] {
      FetchLeftValues(after->row, at.one->spec, CurrentMemoryContext);
      after->matches = Matches(at.compiled, after->row);
    });
  if (kind == ChangeKind::kUpdate && !before->present) {
    if (after->matches) BlamingRoute(after->route, [&] { AddUnknownUpdate(at, after); });
  } else if (before->matches && after->matches && before->route == after->route) {
    BlamingRoute(after->route, [&] { AddUpdate(at, before, after); });
  } else {
    if (before->matches) BlamingRoute(before->route, [&] { AddDelete(at, before); });
    if (after->matches) BlamingRoute(after->route, [&] { AddInsert(at, after); });
  }
  if (before->matches || after->matches) ++at.touched->matched;
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

const char* Evaluate(Template* one, DecodedChange* decoded, Touched* touched) {
  CompiledTemplate* compiled = one->compiled;
  const ColumnMap* map = MapFor(one, decoded->change.shape);
  if (const char* problem = WhyUnusable(*map, decoded->change)) return problem;
  TakeApart(decoded);
  ResetExprContext(compiled->expressions);
  MemoryContext outer = MemoryContextSwitchTo(compiled->expressions->ecxt_per_tuple_memory);
  Side before = {compiled->old_row, compiled->old_result};
  Side after = {compiled->new_row, compiled->new_result};
  FindSide(one, decoded->old_row, *map, &before);
  FindSide(one, decoded->new_row, *map, &after);
  EvaluateSides({one, compiled, touched}, decoded->change.kind, &before, &after);
  MemoryContextSwitchTo(outer);
  return nullptr;
}

void EvaluateClear(Template* one, Touched* touched) {
  ForEachRoute(
      one,
      [](Route* route, void* context) {
        StringInfoSink sink = Begin(route, static_cast<Touched*>(context));
        WriteClear(sink);
      },
      touched);
}

}  // namespace live_queries
