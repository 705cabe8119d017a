// The callbacks of logical decoding. Process: decoder.
#include "decode/output_plugin.hpp"

#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "access/detoast.h"
#include "access/htup_details.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "replication/reorderbuffer.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/rel.h"

PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks* callbacks);
}

namespace live_queries {
namespace {

struct WatchedTable {
  Oid relation;  // hash key
  int watchers;
  RowShape* shape;  // nullptr: to be looked at again
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

bool SameShape(TupleDesc a, TupleDesc b) {
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

RowShape* ShapeOf(WatchedTable* table, Relation relation) {
  if (table->shape != nullptr) return table->shape;
  TupleDesc descriptor = RelationGetDescr(relation);
  const bool full_identity = relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL;
  for (RowShape* shape = shapes; shape != nullptr; shape = shape->next) {
    if (shape->relation != table->relation || shape->full_identity != full_identity ||
        !SameShape(shape->descriptor, descriptor))
      continue;
    return table->shape = shape;
  }
  RowShape* shape = AllocateIn<RowShape>(plugin_context);
  shape->relation = table->relation;
  shape->full_identity = full_identity;
  shape->number = ++last_shape_number;
  ++shape_count;
  // With constraints: they hold the values of columns added later.
  shape->descriptor =
      InMemoryContext(plugin_context, [&] { return CreateTupleDescCopyConstr(descriptor); });
  shape->next = shapes;
  shapes = shape;
  return table->shape = shape;
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

// ALTER TABLE writes all rows anew, into a table that then takes the place of the old one. What is
// different about them is not known.
void NoteRewrite(Relation heap) {
  const Oid table = heap->rd_rel->relrewrite;
  if (unfinished != nullptr && unfinished->rewritten == table) return;
  if (hash_search(watched_tables, &table, HASH_FIND, nullptr) == nullptr) return;
  Batch()->AddTables(ChangeKind::kRewrite, &table, 1);
  Batch()->rewritten = table;
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
  options->receive_rewrites = true;
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
  if (OidIsValid(relation->rd_rel->relrewrite)) {
    NoteRewrite(relation);
    return;
  }
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
    watched = watched || FindWatched(relations[i]) != nullptr;
  }
  if (watched) Batch()->AddTables(ChangeKind::kTruncate, oids, count);
  pfree(oids);
}

void OnCommit(LogicalDecodingContext*, ReorderBufferTXN* transaction, XLogRecPtr) {
  LIVE_QUERIES_FAULT("decode-commit");
  if (on_commit != nullptr) on_commit(transaction->xid);
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
    FreeTupleDesc(shape->descriptor);
    pfree(shape);
    --shape_count;
  }
  enough = shape_count * 2 > kFewShapes ? shape_count * 2 : kFewShapes;
  ++shape_generation;
}

uint32 ShapeGeneration() { return shape_generation; }

}  // namespace live_queries

void _PG_output_plugin_init(OutputPluginCallbacks* callbacks) {
  live_queries::InitCallbacks(callbacks);
}
