// A sort of the server's, of key, side and row; then the rows of each key together. Process: client
// backend.
#include "client/result_difference.hpp"

#include <utility>

#include "delta/delta_plan.hpp"
#include "delta/value_by_value.hpp"
#include "evaluate/kept_plan.hpp"
#include "evaluate/result_row.hpp"
#include "model/flow_control.hpp"
#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "query/key.hpp"

extern "C" {
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"
}

namespace live_queries {

// Sorted: key, whether it is of the result afterwards, row, and where the row's columns begin and
// end.
struct ResultDifference {
  Difference* lists;  // instead of all that follows; nullptr: they are none
  bool bag;
  int columns;
  TupleDesc descriptor;
  Tuplesortstate* sort;
};

namespace {

constexpr char kText[] = "the result of a live query";  // for messages and those who log

constexpr int kKey = 0;
constexpr int kAfter = 1;
constexpr int kRow = 2;
constexpr int kOffsets = 3;
constexpr int kFields = 4;

std::string_view TextOf(const TupleTableSlot& slot, int field) {
  const auto* text =
      reinterpret_cast<const struct varlena*>(DatumGetPointer(slot.tts_values[field]));
  return {VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text)};
}

Datum Text(const void* bytes, size_t size) {
  return PointerGetDatum(
      cstring_to_text_with_len(static_cast<const char*>(bytes), static_cast<int>(size)));
}

TupleDesc MakeDescriptor() {
  TupleDesc descriptor = CreateTemplateTupleDesc(kFields);
  TupleDescInitEntry(descriptor, kKey + 1, "key", TEXTOID, -1, 0);
  TupleDescInitEntry(descriptor, kAfter + 1, "after", BOOLOID, -1, 0);
  TupleDescInitEntry(descriptor, kRow + 1, "row", TEXTOID, -1, 0);
  TupleDescInitEntry(descriptor, kOffsets + 1, "offsets", BYTEAOID, -1, 0);
  return Finished(descriptor);
}

Tuplesortstate* BeginSort(TupleDesc descriptor) {
  AttrNumber column = kKey + 1;
  Oid less = TextLessOperator;
  Oid collation = C_COLLATION_OID;
  bool nulls_first = false;
  return tuplesort_begin_heap(descriptor, 1, &column, &less, &collation, &nulls_first, work_mem,
                              nullptr, TUPLESORT_RANDOMACCESS);
}

// The query of `plan` with its result columns one by one, and behind them the key. Not sorted here:
// what is limited or numbered is so further down.
Query* QueryWithKey(const Plan& plan) {
  Query* query = static_cast<Query*>(copyObjectImpl(plan.query));
  query->sortClause = NIL;
  List* columns = NIL;
  ListCell* cell;
  foreach (cell, plan.spec.result_columns) {
    TargetEntry* column = castNode(TargetEntry, copyObjectImpl(lfirst(cell)));
    column->resno = static_cast<AttrNumber>(list_length(columns) + 1);
    column->ressortgroupref = 0;
    columns = lappend(columns, column);
  }
  query->targetList = lappend(
      columns, makeTargetEntry(KeyExpression(plan.spec),
                               static_cast<AttrNumber>(list_length(columns) + 1), nullptr, false));
  return query;
}

struct Side {
  ResultDifference* difference;
  RowEncoder encoder;
  TupleTableSlot* sorted;  // of lists: nullptr
  bool after;
  MemoryContext row_context;
};

void Sort(Side* side, const EncodedRow& encoded) {
  const int count = encoded.columns;
  uint32* offsets = static_cast<uint32*>(palloc(sizeof(uint32) * (2 * count + 1)));
  memcpy(offsets, encoded.values, sizeof(uint32) * count);
  memcpy(offsets + count, encoded.ends, sizeof(uint32) * count);
  TupleTableSlot* sorted = side->sorted;
  ExecClearTuple(sorted);
  memset(sorted->tts_isnull, false, sizeof(bool) * kFields);
  sorted->tts_values[kKey] = Text(encoded.key.data(), encoded.key.size());
  sorted->tts_values[kAfter] = BoolGetDatum(side->after);
  sorted->tts_values[kRow] = Text(encoded.row.data(), encoded.row.size());
  sorted->tts_values[kOffsets] = Text(offsets, sizeof(uint32) * 2 * count);
  ExecStoreVirtualTuple(sorted);
  tuplesort_puttupleslot(side->difference->sort, sorted);
}

void AddRow(Side* side, TupleTableSlot* row) {
  EncodedRow encoded = EncodeColumns(side->encoder, row);
  const auto* key =
      reinterpret_cast<const text*>(PG_DETOAST_DATUM_PACKED(row->tts_values[encoded.columns]));
  encoded.key = {VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)};
  Difference* lists = side->difference->lists;
  if (lists == nullptr) return Sort(side, encoded);
  lists->Add(encoded, side->after ? 1 : -1);
  RequireRoomFor(lists->bytes(), 0);
}

void AddRows(ResultDifference* difference, const Plan& plan, bool after) {
  Side side = {};
  side.difference = difference;
  side.encoder = MakeRowEncoder(plan.spec, CreateStandaloneExprContext());
  if (difference->lists == nullptr)
    side.sorted = MakeSingleTupleTableSlot(difference->descriptor, &TTSOpsVirtual);
  side.after = after;
  side.row_context = AllocSetContextCreate(CurrentMemoryContext, "live_queries row of a result",
                                           ALLOCSET_DEFAULT_SIZES);
  // Not in parallel: workers have no room for what snapshots at a position hide.
  const PlannedStmt* planned = PlanRewritten(QueryWithKey(plan), kText, 0, nullptr);
  Execute(planned, KeyParams(plan.spec), GetActiveSnapshot(), 0, [&](TupleTableSlot* row) {
    MemoryContextReset(side.row_context);
    InMemoryContext(side.row_context, [&] { AddRow(&side, row); });
    LIVE_QUERIES_FAULT("params-row");
  });
  if (side.sorted != nullptr) ExecDropSingleTupleTableSlot(side.sorted);
  MemoryContextDelete(side.row_context);
}

// The rows of one key after the other.
struct Groups {
  ResultDifference* difference;
  TupleTableSlot* next;      // of the key that follows
  bool has_next;             // whether there is one
  TupleTableSlot* sides[2];  // the first row of each side, before and after
  int count[2];              // how many rows each has
};

void ReadNext(Groups* groups) {
  groups->has_next =
      tuplesort_gettupleslot(groups->difference->sort, true, true, groups->next, nullptr);
  if (groups->has_next) slot_getallattrs(groups->next);
}

void Begin(Groups* groups) {
  tuplesort_rescan(groups->difference->sort);
  ReadNext(groups);
}

bool Advance(Groups* groups) {
  if (!groups->has_next) return false;
  groups->count[0] = groups->count[1] = 0;
  std::string_view key = TextOf(*groups->next, kKey);
  do {
    CHECK_FOR_INTERRUPTS();
    const int side = DatumGetBool(groups->next->tts_values[kAfter]) ? 1 : 0;
    // The first row of the key, which `key` is of, stays where it is put.
    if (++groups->count[side] == 1) std::swap(groups->sides[side], groups->next);
    ReadNext(groups);
  } while (groups->has_next && TextOf(*groups->next, kKey) == key);
  return true;
}

EncodedRow RowOf(const Groups& groups, int side) {
  const TupleTableSlot& slot = *groups.sides[side];
  const int count = groups.difference->columns;
  const std::string_view bytes = TextOf(slot, kOffsets);
  uint32* offsets = static_cast<uint32*>(palloc(bytes.size() + 1));
  memcpy(offsets, bytes.data(), bytes.size());
  EncodedRow row = {};
  row.key = TextOf(slot, kKey);
  row.row = TextOf(slot, kRow);
  row.values = offsets;
  row.ends = offsets + count;
  row.columns = count;
  return row;
}

// What becomes of a key, and how often; 0: nothing.
int ChangesOf(const Groups& groups, ChangeOp* op) {
  const int before = groups.count[0];
  const int after = groups.count[1];
  if (groups.difference->bag) {
    *op = before > after ? ChangeOp::kDelete : ChangeOp::kInsert;
    return abs(before - after);
  }
  if (before > 1 || after > 1)
    elog(ERROR, "two rows of the result of a live query have the same key");
  *op = before == 0 ? ChangeOp::kInsert : after == 0 ? ChangeOp::kDelete : ChangeOp::kUpdate;
  if (*op != ChangeOp::kUpdate) return 1;
  return TextOf(*groups.sides[0], kRow) == TextOf(*groups.sides[1], kRow) ? 0 : 1;
}

ResultChange ChangeOf(const Groups& groups, ChangeOp op) {
  ResultChange change = {};
  const EncodedRow shown = RowOf(groups, op == ChangeOp::kDelete ? 0 : 1);
  change.op = op;
  change.position = -1;
  change.key = shown.key;
  change.row = shown.row;
  if (op == ChangeOp::kUpdate) change.old = OldColumns(RowOf(groups, 0), shown);
  return change;
}

TupleTableSlot* MakeSlot(const ResultDifference& difference) {
  return MakeSingleTupleTableSlot(difference.descriptor, &TTSOpsMinimalTuple);
}

void ReportSorted(ResultDifference* difference, MemoryContext scratch,
                  void (*report)(const ResultChange&, void*), void* context) {
  Groups groups = {};
  groups.difference = difference;
  groups.next = MakeSlot(*difference);
  groups.sides[0] = MakeSlot(*difference);
  groups.sides[1] = MakeSlot(*difference);
  // Whether there are such changes: the first time through all shows that.
  bool known[3] = {true, false, false};
  for (const ChangeOp wanted : {ChangeOp::kDelete, ChangeOp::kUpdate, ChangeOp::kInsert}) {
    if (!known[static_cast<int>(wanted)]) continue;
    for (Begin(&groups); Advance(&groups);) {
      ChangeOp op;
      const int times = ChangesOf(groups, &op);
      if (times > 0) known[static_cast<int>(op)] = true;
      if (times == 0 || op != wanted) continue;
      MemoryContextReset(scratch);
      const ResultChange change = InMemoryContext(scratch, [&] { return ChangeOf(groups, op); });
      for (int i = 0; i < times; ++i) report(change, context);
    }
  }
  for (TupleTableSlot* slot : {groups.next, groups.sides[0], groups.sides[1]})
    ExecDropSingleTupleTableSlot(slot);
  tuplesort_end(difference->sort);
}

}  // namespace

bool GivesList(const Plan& plan) {
  return plan.spec.query != nullptr && IsList(LevelOfValue(*plan.spec.query));
}

void RequireRoomFor(size_t bytes, size_t waiting) {
  if (HeldBudget{static_cast<size_t>(spill_size_kb) * 1024, waiting}.Admits(bytes)) return;
  ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
          errmsg("too much of the result of a live query would change at once"),
          errhint("Subscribe with the new parameters, or raise live_queries.spill_size."));
}

ResultDifference* FindDifference(const Plan& before, const Plan& after) {
  ResultDifference* difference = AllocateIn<ResultDifference>(CurrentMemoryContext);
  if (GivesList(after)) {
    difference->lists = Difference::Create(after.spec.bag, true, nullptr, nullptr, 0);
    AddRows(difference, before, false);
    AddRows(difference, after, true);
    return difference;
  }
  difference->bag = after.spec.bag;
  difference->columns = list_length(after.spec.result_columns);
  difference->descriptor = MakeDescriptor();
  difference->sort = BeginSort(difference->descriptor);
  AddRows(difference, before, false);
  AddRows(difference, after, true);
  tuplesort_performsort(difference->sort);
  return difference;
}

bool IsOfLists(const ResultDifference& difference) { return difference.lists != nullptr; }

void ReportDifference(ResultDifference* difference, void (*report)(const ResultChange&, void*),
                      void* context) {
  MemoryContext scratch = AllocSetContextCreate(
      CurrentMemoryContext, "live_queries change of a result", ALLOCSET_DEFAULT_SIZES);
  if (IsOfLists(*difference))
    InMemoryContext(scratch, [&] { difference->lists->Report(report, context); });
  else
    ReportSorted(difference, scratch, report, context);
  MemoryContextDelete(scratch);
}

}  // namespace live_queries
