// Identities stay as they were logged until a plan asks for them. Process: evaluator.
#include "evaluate/dirty_batch.hpp"

#include "pg/fault.hpp"
#include "pg/hash_table.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "utils/datum.h"
}

namespace live_queries {

// The rows that were logged for a watch.
struct DirtyBatch::Watched {
  uint32 number;      // hash key
  List* rows;         // char*: the values of an identity, for datumRestore
  bool all_new;       // each was inserted
  ValueSet* columns;  // nullptr: nobody has asked yet
  DirtySpan span;
};

namespace {

ValueSet* MakeColumns(const StaleSet& set) {
  ValueSet* columns = static_cast<ValueSet*>(palloc(sizeof(ValueSet) * list_length(set.columns)));
  ListCell* cell;
  foreach (cell, set.columns)
    columns[foreach_current_index(cell)] =
        MakeValueSet(CurrentMemoryContext, static_cast<SetColumn*>(lfirst(cell))->type);
  return columns;
}

}  // namespace

void DirtySpan::Add(const DirtyRecordShared* record) {
  if (record == last) return;
  last = record;
  if (list_length(records) < kMostXids)
    records = lappend(records, const_cast<DirtyRecordShared*>(record));
}

void DirtySpan::AddAll(const DirtySpan& other) {
  if (other.last == nullptr) return;
  if (last == nullptr || last->commit_end < other.last->commit_end) last = other.last;
  records = list_concat_unique_ptr(records, other.records);
  list_sort(records, [](const ListCell* a, const ListCell* b) {
    auto end = [](const ListCell* cell) {
      return static_cast<const DirtyRecordShared*>(lfirst(cell))->commit_end;
    };
    return end(a) < end(b) ? -1 : end(a) > end(b) ? 1 : 0;
  });
  records = list_truncate(records, kMostXids);
}

DirtyBatch* DirtyBatch::Create() {
  DirtyBatch* batch = AllocateIn<DirtyBatch>(CurrentMemoryContext);
  batch->context_ = CurrentMemoryContext;
  batch->watches_ =
      MakeHashTable("live_queries dirty rows", &Watched::number, 32, CurrentMemoryContext);
  batch->tables_ =
      MakeHashTable("live_queries dirty tables", &DirtyTable::relation, 32, CurrentMemoryContext);
  return batch;
}

void DirtyBatch::AddRow(const DirtyRecordShared* record, const DirtyEntry& entry) {
  bool found;
  auto* watched = static_cast<Watched*>(hash_search(watches_, &entry.watch, HASH_ENTER, &found));
  if (!found) *watched = {entry.watch, NIL, true, nullptr, {}};
  watched->span.Add(record);
  // Rows that come after somebody has asked are told to the next one who does.
  watched->columns = nullptr;
  watched->rows = lappend(watched->rows, entry.values);
  if (entry.kind != DirtyKind::kNewRow && !LIVE_QUERIES_MUTATION("updates_are_new"))
    watched->all_new = false;
}

void DirtyBatch::AddTable(const DirtyRecordShared* record, const DirtyEntry& entry) {
  bool found;
  auto* table = static_cast<DirtyTable*>(hash_search(tables_, &entry.relation, HASH_ENTER, &found));
  if (!found) *table = {entry.relation, false, false, false, false, {}};
  table->span.Add(record);
  table->any_rows = table->any_rows || entry.kind == DirtyKind::kRows;
  table->truncated = table->truncated || entry.kind == DirtyKind::kTruncate;
  table->rewritten = table->rewritten || entry.kind == DirtyKind::kRewrite;
  table->has_other_children = table->has_other_children || entry.kind == DirtyKind::kChildren;
}

void DirtyBatch::Add(const DirtyTransaction& transaction) {
  InMemoryContext(context_, [&] {
    // Which columns keep rows apart may be another matter then.
    catalogs_changed_ = catalogs_changed_ || transaction.record->catalogs_changed;
    DirtyEntry entry;
    for (char* at = transaction.entries; NextDirtyEntry(transaction, &at, &entry);) {
      span_.Add(transaction.record);
      if (entry.row)
        AddRow(transaction.record, entry);
      else
        AddTable(transaction.record, entry);
    }
  });
}

const DirtyTable* DirtyBatch::FindTable(Oid relation) const {
  return static_cast<DirtyTable*>(hash_search(tables_, &relation, HASH_FIND, nullptr));
}

const DirtyBatch::Watched* DirtyBatch::FindWatched(int number) const {
  const uint32 key = static_cast<uint32>(number);
  return static_cast<const Watched*>(hash_search(watches_, &key, HASH_FIND, nullptr));
}

int DirtyBatch::RowCount(const List* watches) const {
  int count = 0;
  ListCell* cell;
  foreach (cell, watches)
    if (const Watched* watched = FindWatched(lfirst_int(cell))) count += list_length(watched->rows);
  return count;
}

DirtySpan DirtyBatch::SpanOf(const List* watches, const List* relations) const {
  DirtySpan span = {};
  ListCell* cell;
  foreach (cell, watches)
    if (const Watched* watched = FindWatched(lfirst_int(cell))) span.AddAll(watched->span);
  foreach (cell, relations)
    if (const DirtyTable* table = FindTable(lfirst_oid(cell))) span.AddAll(table->span);
  return span;
}

ValueSet* DirtyBatch::ColumnsOf(Watched* watched, const StaleSet& set) {
  if (watched->columns != nullptr) return watched->columns;
  InMemoryContext(context_, [&] {
    watched->columns = MakeColumns(set);
    ListCell* cell;
    foreach (cell, watched->rows) {
      char* at = static_cast<char*>(lfirst(cell));
      for (int i = 0; i < list_length(set.columns); ++i) {
        bool is_null;
        const Datum value = datumRestore(&at, &is_null);
        AddValue(&watched->columns[i], value, is_null);
        if (!watched->columns[i].by_value) pfree(DatumGetPointer(value));
      }
    }
  });
  return watched->columns;
}

DirtyRows DirtyBatch::Find(const StaleSet& set, const List* watches) {
  DirtyRows dirty = {unknown_, !catalogs_changed_, nullptr};
  ListCell* cell;
  foreach (cell, set.relations) dirty.all = dirty.all || FindTable(lfirst_oid(cell)) != nullptr;
  if (dirty.all) return dirty;
  foreach (cell, watches) {
    const uint32 number = static_cast<uint32>(lfirst_int(cell));
    auto* watched = static_cast<Watched*>(hash_search(watches_, &number, HASH_FIND, nullptr));
    if (watched == nullptr) continue;
    dirty.all_new = dirty.all_new && watched->all_new;
    ValueSet* columns = ColumnsOf(watched, set);
    if (list_length(watches) == 1) return {false, dirty.all_new, columns};
    // Of several partitions or children.
    if (dirty.columns == nullptr) dirty.columns = MakeColumns(set);
    for (int i = 0; i < list_length(set.columns); ++i)
      for (int k = 0; k < columns[i].count; ++k)
        AddValue(&dirty.columns[i], columns[i].values[k], false);
  }
  if (dirty.columns == nullptr) dirty.columns = MakeColumns(set);
  return dirty;
}

}  // namespace live_queries
