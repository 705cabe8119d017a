// The callbacks of logical decoding. Process: decoder.
#include "decode/output_plugin.hpp"

#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "query/table_facts.hpp"

extern "C" {
#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "replication/reorderbuffer.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks* callbacks);
}

namespace live_queries {
namespace {

// Where a table's rows are, and whether changes of them are logged.
struct Storage {
  Oid tablespace;
  Oid file;
  char persistence;

  bool operator==(const Storage&) const = default;
};

struct WatchedTable {
  Oid relation;  // hash key
  int watchers;
  RowShape* shape;  // nullptr: to be looked at again
  Storage storage;  // at this point of the log; when it was first watched, of then
};

MemoryContext plugin_context = nullptr;
MemoryContext change_context = nullptr;  // reset after each change
HTAB* watched_tables = nullptr;
RowShape* shapes = nullptr;
uint32 last_shape_number = 0;
uint32 shape_count = 0;
uint32 shape_generation = 0;
ChangeBatch* first_ready = nullptr;
ChangeBatch* last_ready = nullptr;
ChangeBatch* unfinished = nullptr;  // of the transaction being replayed
size_t ready_bytes = 0;
uint64 ready_count = 0;
bool catalogs_changed = false;
PluginCounters counters;
void (*on_commit)(TransactionId xid) = nullptr;

// The shape may have changed from here on in the log. Called for catalog changes as decoding
// replays them, and for those that other backends make now.
void OnRelationChange(Datum, Oid relation) {
  if (watched_tables == nullptr) return;
  if (OidIsValid(relation)) {
    auto* table =
        static_cast<WatchedTable*>(hash_search(watched_tables, &relation, HASH_FIND, nullptr));
    if (table != nullptr) table->shape = nullptr;
    return;
  }
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, watched_tables);
  while (auto* table = static_cast<WatchedTable*>(hash_seq_search(&scan))) table->shape = nullptr;
}

bool SameColumns(TupleDesc a, TupleDesc b) {
  if (a->natts != b->natts) return false;
  for (int i = 0; i < a->natts; ++i) {
    const FormData_pg_attribute* x = TupleDescAttr(a, i);
    const FormData_pg_attribute* y = TupleDescAttr(b, i);
    if (x->attisdropped != y->attisdropped || x->atttypid != y->atttypid ||
        x->attlen != y->attlen || x->attalign != y->attalign ||
        strcmp(NameStr(x->attname), NameStr(y->attname)) != 0 ||
        x->atthasmissing != y->atthasmissing)
      return false;
  }
  return true;
}

// What of `relation`, at this point of the log, makes a shape. In change_context.
RowShape Describe(Relation relation) {
  RowShape shape = {};
  shape.relation = RelationGetRelid(relation);
  shape.descriptor = RelationGetDescr(relation);
  shape.full_identity = relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL;
  if (!shape.full_identity) shape.identity = IndexColumns(RelationGetReplicaIndex(relation));
  shape.primary_key = IndexColumns(PrimaryKeyIndex(relation));
  shape.is_partition = relation->rd_rel->relispartition;
  return shape;
}

bool SameShape(const RowShape& a, const RowShape& b) {
  return a.relation == b.relation && a.full_identity == b.full_identity &&
         a.is_partition == b.is_partition && equal(a.identity, b.identity) &&
         equal(a.primary_key, b.primary_key) && SameColumns(a.descriptor, b.descriptor);
}

RowShape* KeepShape(const RowShape& seen) {
  return InMemoryContext(plugin_context, [&] {
    RowShape* shape = AllocateIn<RowShape>(plugin_context);
    *shape = seen;
    shape->number = ++last_shape_number;
    ++shape_count;
    shape->identity = list_copy(seen.identity);
    shape->primary_key = list_copy(seen.primary_key);
    // With constraints: they hold the values of columns added later.
    shape->descriptor = CreateTupleDescCopyConstr(seen.descriptor);
    shape->next = shapes;
    return shapes = shape;
  });
}

void FreeShape(RowShape* shape) {
  FreeTupleDesc(shape->descriptor);
  list_free(shape->identity);
  list_free(shape->primary_key);
  pfree(shape);
  --shape_count;
}

RowShape* ShapeOf(WatchedTable* table, Relation relation) {
  if (table->shape != nullptr) return table->shape;
  const RowShape seen = Describe(relation);
  RowShape* shape = shapes;
  while (shape != nullptr && !SameShape(*shape, seen)) shape = shape->next;
  return table->shape = shape != nullptr ? shape : KeepShape(seen);
}

WatchedTable* FindWatched(Relation relation) {
  const Oid oid = RelationGetRelid(relation);
  return static_cast<WatchedTable*>(hash_search(watched_tables, &oid, HASH_FIND, nullptr));
}

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

ChangeBatch* Batch() {
  if (unfinished != nullptr) return unfinished;
  return unfinished = ChangeBatch::Create(plugin_context);
}

Storage StorageOf(const FormData_pg_class& row) {
  return {row.reltablespace, row.relfilenode, row.relpersistence};
}

// Who watches a table first holds a lock on it until it is attached: no change of its storage that
// matters lies between what is decoded and now.
Storage StorageNow(Oid relation) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(tuple)) return {};
  const Storage storage = StorageOf(*reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple)));
  ReleaseSysCache(tuple);
  return storage;
}

// Rows that were written into another file, or while nothing of them was logged, are not known.
// What gives a table another storage (ALTER TABLE, CLUSTER, VACUUM FULL) says so in its catalogs
// alone; a TRUNCATE, which does too, has said itself what becomes of the rows, see OnTruncate.
void NoteNewStorage(const ReorderBufferTXN& transaction) {
  for (uint32 i = 0; i < transaction.ninvalidations; ++i) {
    const SharedInvalidationMessage& message = transaction.invalidations[i];
    if (message.id != SHAREDINVALRELCACHE_ID) continue;
    const Oid oid = message.rc.relId;
    auto* table = static_cast<WatchedTable*>(hash_search(watched_tables, &oid, HASH_FIND, nullptr));
    Relation relation = table == nullptr ? nullptr : RelationIdGetRelation(oid);
    if (!RelationIsValid(relation)) continue;  // dropped
    const Storage storage = StorageOf(*relation->rd_rel);
    RelationClose(relation);
    if (storage == table->storage) continue;
    table->storage = storage;
    Batch()->AddTables(ChangeKind::kRewrite, &oid, 1);
  }
}

// Nothing is streamed. But 18 takes a savepoint for streamed whose transaction was rolled back
// before it had to be spilled (commit 072ee847a), and asks for this. Set at the start: among the
// other callbacks, it would turn streaming on.
void OnStreamAbort(LogicalDecodingContext*, ReorderBufferTXN*, XLogRecPtr) {}

void OnStart(LogicalDecodingContext* context, OutputPluginOptions* options, bool) {
  if (plugin_context == nullptr)
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("the output plugin \"live_queries\" serves only the decoder of the extension"));
  options->output_type = OUTPUT_PLUGIN_BINARY_OUTPUT;
  context->callbacks.stream_abort_cb = OnStreamAbort;
}

void OnBegin(LogicalDecodingContext*, ReorderBufferTXN*) {
  LIVE_QUERIES_FAULT("decode-begin");
  if (unfinished == nullptr) return;
  unfinished->Destroy();
  unfinished = nullptr;
}

void OnChange(LogicalDecodingContext*, ReorderBufferTXN*, Relation relation,
              ReorderBufferChange* change) {
  ++counters.changes_decoded;
  WatchedTable* table = FindWatched(relation);
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
  switch (change->action) {
    case REORDER_BUFFER_CHANGE_INSERT:
      Batch()->Add(ChangeKind::kInsert, shape, nullptr, new_row);
      break;
    case REORDER_BUFFER_CHANGE_UPDATE:
      Batch()->Add(ChangeKind::kUpdate, shape, old_row, new_row);
      break;
    case REORDER_BUFFER_CHANGE_DELETE:
      Batch()->Add(ChangeKind::kDelete, shape, old_row, nullptr);
      break;
    default:
      break;
  }
  MemoryContextSwitchTo(outer);
  MemoryContextReset(change_context);
}

void OnTruncate(LogicalDecodingContext*, ReorderBufferTXN*, int count, Relation relations[],
                ReorderBufferChange*) {
  bool watched = false;
  Oid* oids = static_cast<Oid*>(palloc(sizeof(Oid) * count));
  for (int i = 0; i < count; ++i) {
    oids[i] = RelationGetRelid(relations[i]);
    WatchedTable* table = FindWatched(relations[i]);
    if (table == nullptr) continue;
    watched = true;
    table->storage = StorageOf(*relations[i]->rd_rel);
  }
  if (watched) Batch()->AddTables(ChangeKind::kTruncate, oids, count);
  pfree(oids);
}

void OnCommit(LogicalDecodingContext*, ReorderBufferTXN* transaction, XLogRecPtr) {
  LIVE_QUERIES_FAULT("decode-commit");
  if (on_commit != nullptr) on_commit(transaction->xid);
  NoteNewStorage(*transaction);
  catalogs_changed = catalogs_changed || transaction->ninvalidations > 0;
  ChangeBatch* batch = unfinished;
  if (batch == nullptr) return;
  unfinished = nullptr;
  batch->Rewind();  // so that nothing has to be written when it is evaluated
  batch->xid = transaction->xid;
  batch->commit_end = transaction->end_lsn;
  batch->committed_at = transaction->xact_time.commit_time;
  if (last_ready != nullptr && LIVE_QUERIES_MUTATION("swap_transactions")) {
    batch->next = first_ready;
    first_ready = batch;
  } else if (last_ready == nullptr)
    first_ready = batch;
  else
    last_ready->next = batch;
  if (batch->next == nullptr) last_ready = batch;
  ready_bytes += batch->bytes();
  ++ready_count;
}

void InitCallbacks(OutputPluginCallbacks* callbacks) {
  callbacks->startup_cb = OnStart;
  callbacks->begin_cb = OnBegin;
  callbacks->change_cb = OnChange;
  callbacks->truncate_cb = OnTruncate;
  callbacks->commit_cb = OnCommit;
}

}  // namespace

void PreparePlugin(MemoryContext context, void (*note_commit)(TransactionId xid)) {
  on_commit = note_commit;
  plugin_context =
      AllocSetContextCreate(context, "live_queries output plugin", ALLOCSET_DEFAULT_SIZES);
  change_context =
      AllocSetContextCreate(plugin_context, "live_queries decoded change", ALLOCSET_DEFAULT_SIZES);
  HASHCTL control = {};
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(WatchedTable);
  control.hcxt = plugin_context;
  watched_tables = hash_create("live_queries watched tables", 64, &control,
                               HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  CacheRegisterRelcacheCallback(OnRelationChange, 0);
}

void WatchTable(Oid relation) {
  bool found;
  auto* table =
      static_cast<WatchedTable*>(hash_search(watched_tables, &relation, HASH_ENTER, &found));
  if (!found) {
    table->watchers = 0;
    table->shape = nullptr;
    table->storage = StorageNow(relation);
  }
  ++table->watchers;
}

void UnwatchTable(Oid relation) {
  auto* table =
      static_cast<WatchedTable*>(hash_search(watched_tables, &relation, HASH_FIND, nullptr));
  if (table != nullptr && --table->watchers == 0)
    hash_search(watched_tables, &relation, HASH_REMOVE, nullptr);
}

ChangeBatch* FirstReadyBatch() { return first_ready; }

void RemoveFirstReadyBatch() {
  ChangeBatch* batch = first_ready;
  first_ready = batch->next;
  if (first_ready == nullptr) last_ready = nullptr;
  ready_bytes -= batch->bytes();
  --ready_count;
  batch->Destroy();
}

void DiscardBatches() {
  if (unfinished != nullptr) unfinished->Destroy();
  unfinished = nullptr;
}

bool TakeCatalogsChanged() {
  const bool changed = catalogs_changed;
  catalogs_changed = false;
  return changed;
}

size_t ReadyBytes() { return ready_bytes; }
uint64 ReadyCount() { return ready_count; }

PluginCounters TakePluginCounters() {
  const PluginCounters taken = counters;
  counters = {};
  return taken;
}

void FreeUnusedShapes() {
  constexpr uint32 kFewShapes = 256;
  static uint32 enough = kFewShapes;  // twice what was left last time: it is not looked in vain
  if (shape_count < enough || first_ready != nullptr || unfinished != nullptr) return;
  for (RowShape** link = &shapes; *link != nullptr;) {
    RowShape* shape = *link;
    const auto* table = static_cast<WatchedTable*>(
        hash_search(watched_tables, &shape->relation, HASH_FIND, nullptr));
    if (table != nullptr && table->shape == shape) {
      link = &shape->next;
      continue;
    }
    *link = shape->next;
    FreeShape(shape);
  }
  enough = shape_count * 2 > kFewShapes ? shape_count * 2 : kFewShapes;
  ++shape_generation;
}

uint32 ShapeGeneration() { return shape_generation; }

}  // namespace live_queries

void _PG_output_plugin_init(OutputPluginCallbacks* callbacks) {
  live_queries::InitCallbacks(callbacks);
}
