// Which identities changes have, and the record of the transaction that is decoded. Process:
// decoder.
#include "decode/dirty_rows.hpp"

#include "decode/wal_stream.hpp"
#include "decode/watched_tables.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "registry/database.hpp"
#include "registry/dirty_log_users.hpp"
#include "registry/identity_watches.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/xact.h"
#include "utils/rel.h"
}

namespace live_queries {
namespace {

MemoryContext dirty_context = nullptr;
DatabaseShared* database = nullptr;
DirtyLogShared* log = nullptr;
DirtyRecordBuilder builder;
uint32 changed_for = 0;  // consumers with changes in what was written since they were told

// The watches that the decoder follows now, by table.
MemoryContext heeded_context = nullptr;
IdentityWatches heeded = {};

// ----- identities -----

// Whether the log holds these columns of old rows, and so tells it when they change.
bool IsLogged(const RowShape& shape, const WatchedIdentity& identity) {
  if (shape.full_identity) return true;
  for (int i = 0; i < identity.count; ++i)
    if (!list_member_int(shape.identity, identity.columns[i])) return false;
  return true;
}

// (heap_getattr calls a function that not every minor release has.)
Datum ValueIn(HeapTuple row, int number, TupleDesc descriptor, bool* is_null) {
  if (number > static_cast<int>(HeapTupleHeaderGetNatts(row->t_data)))
    return getmissingattr(descriptor, number, is_null);
  return fastgetattr(row, number, descriptor, is_null);
}

// The columns' values in `row`. Long ones that an update has not touched are not in it, but in
// `old_row` then. False if one is nowhere, or the table has no such column (any more).
bool TakeValues(const WatchedIdentity& identity, TupleDesc descriptor, HeapTuple row,
                HeapTuple old_row, Datum* values, int16* lengths, bool* by_value) {
  for (int i = 0; i < identity.count; ++i) {
    const int16 number = identity.columns[i];
    if (number > descriptor->natts) return false;
    const FormData_pg_attribute* column = TupleDescAttr(descriptor, number - 1);
    if (column->attisdropped) return false;
    lengths[i] = column->attlen;
    by_value[i] = column->attbyval;
    auto take = [&](HeapTuple from) {
      bool is_null;
      values[i] = ValueIn(from, number, descriptor, &is_null);
      return !is_null &&
             (column->attlen != -1 || !VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(values[i])));
    };
    if (!take(row) && (old_row == nullptr || !take(old_row))) return false;
    // Uncompressed, so that equal values look alike.
    if (column->attlen == -1) values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(values[i]));
  }
  return true;
}

// False if the identity of that row is not known.
bool NoteRow(DirtyKind kind, const WatchedIdentity& identity, Relation relation, HeapTuple row,
             HeapTuple old_row) {
  Datum values[INDEX_MAX_KEYS];
  int16 lengths[INDEX_MAX_KEYS];
  bool by_value[INDEX_MAX_KEYS];
  if (!TakeValues(identity, RelationGetDescr(relation), row, old_row, values, lengths, by_value))
    return false;
  builder.AddRow(kind, identity.number, RelationGetRelid(relation), values, lengths, by_value,
                 identity.count);
  return true;
}

// Both identities of a change; false if one is not known.
bool NoteChange(const WatchedIdentity& identity, Relation relation, const RowShape& shape,
                const ChangedRow& change) {
  if (identity.count == 0) return false;
  if (change.kind == ChangeKind::kInsert)
    return NoteRow(DirtyKind::kNewRow, identity, relation, change.new_row, nullptr);
  if (!IsLogged(shape, identity)) return false;
  // An update that leaves the logged columns alone logs no old row: the new one has the same
  // identity.
  const bool has_old = change.old_row != nullptr;
  if (!has_old && (shape.full_identity || change.kind == ChangeKind::kDelete)) return false;
  if (has_old && !NoteRow(DirtyKind::kRow, identity, relation, change.old_row, nullptr))
    return false;
  return change.kind == ChangeKind::kDelete ||
         NoteRow(DirtyKind::kRow, identity, relation, change.new_row, change.old_row);
}

// ----- watching -----

WatchedIdentity Identity(const IdentityWatchShared& watch) {
  WatchedIdentity identity = {watch.number, 0, watch.column_count, {}};
  memcpy(identity.columns, watch.columns, sizeof(identity.columns));
  for (int i = 0; i < kMaxConsumers; ++i)
    if (watch.users[i] > 0) identity.consumers |= ConsumerBit(i);
  return identity;
}

int CompareRelations(const void* a, const void* b) {
  const Oid x = static_cast<const IdentityWatchShared*>(a)->relation;
  const Oid y = static_cast<const IdentityWatchShared*>(b)->relation;
  return x < y ? -1 : x > y;
}

bool HasRelation(const IdentityWatches& list, Oid relation) {
  IdentityWatchShared key = {};
  key.relation = relation;
  return list.watches != nullptr && bsearch(&key, list.watches, static_cast<size_t>(list.count),
                                            sizeof(key), CompareRelations) != nullptr;
}

// In a transaction, and in the context of the new list.
void Heed(const IdentityWatches& next) {
  for (int i = 0; i < next.count;) {
    const Oid relation = next.watches[i].relation;
    List* identities = NIL;
    for (; i < next.count && next.watches[i].relation == relation; ++i) {
      auto* identity = static_cast<WatchedIdentity*>(palloc(sizeof(WatchedIdentity)));
      *identity = Identity(next.watches[i]);
      identities = lappend(identities, identity);
    }
    WatchIdentities(relation, identities);
  }
  for (int i = 0; i < heeded.count; ++i)
    if (!HasRelation(next, heeded.watches[i].relation))
      WatchIdentities(heeded.watches[i].relation, NIL);
}

// Those of a log that is gone.
void HeedNothing() {
  Heed({});
  heeded = {};
  if (heeded_context != nullptr) MemoryContextReset(heeded_context);
}

void HeedList() {
  MemoryContext next_context =
      AllocSetContextCreate(dirty_context, "live_queries watched identities", ALLOCSET_SMALL_SIZES);
  const IdentityWatches next =
      InMemoryContext(next_context, [] { return CopyIdentityWatches(*log); });
  qsort(next.watches, static_cast<size_t>(next.count), sizeof(IdentityWatchShared),
        CompareRelations);
  StartTransactionCommand();
  InMemoryContext(next_context, [&] { Heed(next); });
  CommitTransactionCommand();
  if (heeded_context != nullptr) MemoryContextDelete(heeded_context);
  heeded_context = next_context;
  heeded = next;
  HeedIdentityWatches(log, next.changes, StreamPosition());
}

void NoteConsumers(const List* identities) {
  ListCell* cell;
  foreach (cell, identities)
    changed_for |= static_cast<const WatchedIdentity*>(lfirst(cell))->consumers;
}

}  // namespace

void PrepareDirtyRows(MemoryContext context, DatabaseShared* of_database) {
  database = of_database;
  dirty_context = AllocSetContextCreate(context, "live_queries dirty rows", ALLOCSET_DEFAULT_SIZES);
}

void SyncIdentityWatches() {
  DirtyLogShared* wanted = UseDirtyLog(database);
  if (wanted != log) {
    HeedNothing();
    log = wanted;
    if (log != nullptr) builder.Init(dirty_context, DirtyRecordLimit(*log));
  }
  // Another list, or the one of another log.
  if (log != nullptr && (heeded_context == nullptr || heeded.changes != WatchChanges(*log)))
    HeedList();
}

void ShareDirtyLog(XLogRecPtr position) {
  if (log == nullptr) return;
  CompleteDirtyLog(database, log, position, changed_for);
  changed_for = 0;
}

bool DirtyLogIsKept() { return log != nullptr; }

void NoteDirtyRow(const List* identities, Relation relation, const RowShape& shape,
                  const ChangedRow& change) {
  NoteConsumers(identities);
  ListCell* cell;
  foreach (cell, identities)
    if (!NoteChange(*static_cast<WatchedIdentity*>(lfirst(cell)), relation, shape, change))
      builder.AddTable(DirtyKind::kRows, RelationGetRelid(relation));
}

void NoteDirtyTable(const List* identities, DirtyKind kind, Oid relation) {
  NoteConsumers(identities);
  builder.AddTable(kind, relation);
}

void FinishDirtyTransaction(const DirtyCommit& commit) {
  WriteDirtyLog(log, *builder.Finish(commit));
  builder.Clear();
}

}  // namespace live_queries
