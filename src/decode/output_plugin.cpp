// The callbacks of logical decoding. The server calls them within DecodeNextRecord
// (wal_stream.hpp), when it replays a transaction whose commit it has read. Process: decoder.
#include "decode/output_plugin.hpp"

#include "decode/dirty_rows.hpp"
#include "decode/ready_transactions.hpp"
#include "decode/recent_commits.hpp"
#include "decode/watched_tables.hpp"
#include "pg/compat.hpp"
#include "pg/compat_decoding.hpp"
#include "pg/fault.hpp"

extern "C" {
#include "access/detoast.h"
#include "access/htup_details.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "replication/reorderbuffer.h"
#include "utils/rel.h"
#include "utils/relcache.h"

PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks* callbacks);
}

namespace live_queries {
namespace {

MemoryContext change_context = nullptr;  // reset after each change
PluginCounters counters;

// Values that decoding has put together from several log records are pointed to from the tuple, and
// are gone after the callback: makes a tuple that contains them. Values on disk stay pointers,
// since under a historic snapshot nothing is read from a TOAST table.
HeapTuple Inlined(HeapTuple tuple, TupleDesc descriptor) {
  if (tuple == nullptr || !HeapTupleHasExternal(tuple)) return tuple;
  Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * descriptor->natts));
  bool* nulls = static_cast<bool*>(palloc(sizeof(bool) * descriptor->natts));
  heap_deform_tuple(tuple, descriptor, values, nulls);
  bool changed = false;
  for (int i = 0; i < descriptor->natts; ++i) {
    if (nulls[i] || TupleDescAttr(descriptor, i)->attlen != -1) continue;
    auto* value = reinterpret_cast<struct varlena*>(DatumGetPointer(values[i]));
    if (!VARATT_IS_EXTERNAL(value) || VARATT_IS_EXTERNAL_ONDISK(value)) continue;
    values[i] = PointerGetDatum(detoast_external_attr(value));
    changed = true;
  }
  return changed ? heap_form_tuple(descriptor, values, nulls) : tuple;
}

void NoteTable(const WatchedTable* table, Oid oid, ChangeKind kind, DirtyKind dirty_kind) {
  if (RowsAreWatched(table)) UnfinishedBatch()->AddTables(kind, &oid, 1);
  if (WatchedIdentities(table) != NIL) NoteDirtyTable(WatchedIdentities(table), dirty_kind, oid);
}

// The rows of a partition come and go with it, and nothing else tells. Nor would a look at the
// catalogs of now: a later transaction may have undone it.
void NoteNewChildren(const List* changed) {
  ListCell* cell;
  foreach (cell, NoticeChildren(changed))
    NoteTable(FindWatched(lfirst_oid(cell)), lfirst_oid(cell), ChangeKind::kChildren,
              DirtyKind::kChildren);
}

// Rows that were written into another file, or while nothing of them was logged, are not known.
// What gives a table another storage (ALTER TABLE, CLUSTER, VACUUM FULL) says so in its catalogs
// alone; a TRUNCATE, which does too, has said itself what becomes of the rows, see OnTruncate.
void NoteNewStorage(Oid oid) {
  WatchedTable* table = FindWatched(oid);
  Relation relation = table == nullptr ? nullptr : RelationIdGetRelation(oid);
  if (!RelationIsValid(relation)) return;  // dropped
  const bool is_new = NoticeStorage(table, relation);
  RelationClose(relation);
  if (is_new) NoteTable(table, oid, ChangeKind::kRewrite, DirtyKind::kRewrite);
}

void NoteCatalogChanges(const ReorderBufferTXN& transaction) {
  List* changed = NIL;
  for (uint32 i = 0; i < transaction.ninvalidations; ++i) {
    const SharedInvalidationMessage& message = transaction.invalidations[i];
    if (message.id == SHAREDINVALRELCACHE_ID) changed = lappend_oid(changed, message.rc.relId);
  }
  if (changed == NIL) return;
  list_sort(changed, list_oid_cmp);
  list_deduplicate_oid(changed);
  NoteNewChildren(changed);
  ListCell* cell;
  foreach (cell, changed) NoteNewStorage(lfirst_oid(cell));
  list_free(changed);
}

// Nothing is streamed. But 18 takes a savepoint for streamed whose transaction was rolled back
// before it had to be spilled (commit 072ee847a), and asks for this. Set at the start: among the
// other callbacks, it would turn streaming on.
void OnStreamAbort(LogicalDecodingContext*, ReorderBufferTXN*, XLogRecPtr) {}

void OnStart(LogicalDecodingContext* context, OutputPluginOptions* options, bool) {
  if (change_context == nullptr)
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("the output plugin \"live_queries\" serves only the decoder of the extension"));
  options->output_type = OUTPUT_PLUGIN_BINARY_OUTPUT;
  context->callbacks.stream_abort_cb = OnStreamAbort;
}

void OnBegin(LogicalDecodingContext*, ReorderBufferTXN*) { LIVE_QUERIES_FAULT("decode-begin"); }

void OnChange(LogicalDecodingContext*, ReorderBufferTXN*, Relation relation,
              ReorderBufferChange* change) {
  ++counters.changes_decoded;
  WatchedTable* table = FindWatched(RelationGetRelid(relation));
  if (table == nullptr) {
    ++counters.changes_ignored;
    return;
  }
  MemoryContext outer = MemoryContextSwitchTo(change_context);
  RowShape* shape = ShapeOf(table, relation);
  TupleDesc descriptor = RelationGetDescr(relation);
  HeapTuple old_row = Inlined(OldTuple(change), descriptor);
  HeapTuple new_row = Inlined(NewTuple(change), descriptor);
  LIVE_QUERIES_FAULT("decode-change");
  ChangedRow row = {ChangeKind::kInsert, old_row, new_row};
  if (change->action == REORDER_BUFFER_CHANGE_UPDATE) row.kind = ChangeKind::kUpdate;
  if (change->action == REORDER_BUFFER_CHANGE_DELETE) row.kind = ChangeKind::kDelete;
  if (RowsAreWatched(table)) UnfinishedBatch()->Add(row.kind, shape, old_row, new_row);
  if (WatchedIdentities(table) != NIL)
    NoteDirtyRow(WatchedIdentities(table), relation, *shape, row);
  MemoryContextSwitchTo(outer);
  MemoryContextReset(change_context);
}

void OnTruncate(LogicalDecodingContext*, ReorderBufferTXN*, int count, Relation relations[],
                ReorderBufferChange*) {
  bool watched = false;
  Oid* oids = static_cast<Oid*>(palloc(sizeof(Oid) * count));
  for (int i = 0; i < count; ++i) {
    oids[i] = RelationGetRelid(relations[i]);
    WatchedTable* table = FindWatched(oids[i]);
    if (table == nullptr) continue;
    (void)NoticeStorage(table, relations[i]);
    watched = watched || RowsAreWatched(table);
    if (WatchedIdentities(table) != NIL)
      NoteDirtyTable(WatchedIdentities(table), DirtyKind::kTruncate, oids[i]);
  }
  if (watched) UnfinishedBatch()->AddTables(ChangeKind::kTruncate, oids, count);
  pfree(oids);
}

void NoteDirtyCommit(const ReorderBufferTXN& transaction) {
  auto* subxids =
      static_cast<TransactionId*>(palloc(sizeof(TransactionId) * (transaction.nsubtxns + 1)));
  uint64 count = 0;
  // (The macros that take a list apart are no C++.)
  const dlist_node* end = &transaction.subtxns.head;
  for (const dlist_node* node = end->next; node != nullptr && node != end; node = node->next)
    subxids[count++] = reinterpret_cast<const ReorderBufferTXN*>(
                           reinterpret_cast<const char*>(node) - offsetof(ReorderBufferTXN, node))
                           ->xid;
  FinishDirtyTransaction({transaction.xid, subxids, count, transaction.end_lsn,
                          CommitTimeOf(transaction), rbtxn_has_catalog_changes(&transaction)});
  pfree(subxids);
}

void OnCommit(LogicalDecodingContext*, ReorderBufferTXN* transaction, XLogRecPtr) {
  LIVE_QUERIES_FAULT("decode-commit");
  const bool tells = transaction->ninvalidations > 0;
  NoteCommit(transaction->xid, transaction->end_lsn, tells);
  NoteCatalogChanges(*transaction);
  if (DirtyLogIsKept()) NoteDirtyCommit(*transaction);
  FinishBatch(transaction->xid, transaction->end_lsn, CommitTimeOf(*transaction), tells);
}

void InitCallbacks(OutputPluginCallbacks* callbacks) {
  callbacks->startup_cb = OnStart;
  callbacks->begin_cb = OnBegin;
  callbacks->change_cb = OnChange;
  callbacks->truncate_cb = OnTruncate;
  callbacks->commit_cb = OnCommit;
}

}  // namespace

void PreparePlugin(MemoryContext context) {
  MemoryContext plugin_context =
      AllocSetContextCreate(context, "live_queries output plugin", ALLOCSET_DEFAULT_SIZES);
  change_context =
      AllocSetContextCreate(plugin_context, "live_queries decoded change", ALLOCSET_DEFAULT_SIZES);
  PrepareWatchedTables(plugin_context);
  PrepareReadyTransactions(plugin_context);
}

PluginCounters TakePluginCounters() {
  const PluginCounters taken = counters;
  counters = {};
  return taken;
}

}  // namespace live_queries

void _PG_output_plugin_init(OutputPluginCallbacks* callbacks) {
  live_queries::InitCallbacks(callbacks);
}
