// Makes and drops those parts. Watches are counted, so new ones are made before the old ones are
// given back: where a plan needs the same again, the dirty log goes on without a gap. Process:
// evaluator.
#include "evaluate/delta_template.hpp"

#include "delta/delta_routing.hpp"
#include "evaluate/pending_transactions.hpp"
#include "pg/fault.hpp"
#include "pg/hash_table.hpp"
#include "pg/local_setting.hpp"
#include "pg/log_end.hpp"
#include "pg/memory.hpp"
#include "registry/consumer.hpp"
#include "registry/database.hpp"
#include "template/guard.hpp"

extern "C" {
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

// So long it waits for a lock on a table that the client has locked already: somebody may have
// queued up behind that.
constexpr const char* kLockWait = "500";

struct WatchedRelation {
  uint32 number;  // hash key
  Oid relation;
  int count;  // of templates
};

HTAB* watched_relations = nullptr;

void PrepareWatchedRelations() {
  if (watched_relations != nullptr) return;
  watched_relations = MakeHashTable("live_queries watched relations", &WatchedRelation::number, 64,
                                    TopMemoryContext);
}

void Enter(DeltaTables* tables) {
  for (; tables->entered < list_length(tables->watches.all); ++tables->entered) {
    const uint32 number = static_cast<uint32>(list_nth_int(tables->watches.all, tables->entered));
    bool found;
    auto* entry =
        static_cast<WatchedRelation*>(hash_search(watched_relations, &number, HASH_ENTER, &found));
    if (!found) *entry = {number, list_nth_oid(tables->watches.relations, tables->entered), 0};
    ++entry->count;
  }
}

// When its memory goes.
void Leave(void* pointer) {
  auto* tables = static_cast<DeltaTables*>(pointer);
  for (int i = 0; i < tables->entered; ++i) {
    const uint32 number = static_cast<uint32>(list_nth_int(tables->watches.all, i));
    auto* entry =
        static_cast<WatchedRelation*>(hash_search(watched_relations, &number, HASH_FIND, nullptr));
    if (--entry->count == 0) hash_search(watched_relations, &number, HASH_REMOVE, nullptr);
  }
  // At the exit of the process, all is given back at once.
  if (PendingLog() == nullptr) return;
  const ConsumerShared& consumer = *MyConsumer();
  UnwatchPlan(DatabaseAt(consumer.database), PendingLog(), consumer.index, tables->watches);
}

// Below the transaction: an error frees it.
template <class Part>
Part* NewPart() {
  MemoryContext context = AllocSetContextCreate(
      CurTransactionContext, "live_queries delta template", ALLOCSET_SMALL_SIZES);
  Part* part = AllocateIn<Part>(context);
  part->context = context;
  return part;
}

DeltaTables* MakeTables(const QuerySpec& spec, const DeltaPlan& plan) {
  PrepareWatchedRelations();
  DeltaTables* tables = NewPart<DeltaTables>();
  const ConsumerShared& consumer = *MyConsumer();
  InMemoryContext(tables->context, [&] {
    auto* callback = AllocateIn<MemoryContextCallback>(tables->context);
    callback->func = Leave;
    callback->arg = tables;
    MemoryContextRegisterResetCallback(tables->context, callback);
    tables->relations = list_copy(spec.relations);
    tables->storages = static_cast<TableStorage*>(
        palloc(sizeof(TableStorage) * (list_length(tables->relations) + 1)));
    // Of parents without rows, which partitions they have.
    List* watched = list_concat_unique_oid(list_copy(spec.relations), spec.parents);
    WatchPlan(DatabaseAt(consumer.database), PendingLog(), consumer.index, plan, watched,
              &tables->watches);
    LIVE_QUERIES_FAULT("evaluator-watched");
    Enter(tables);
  });
  tables->made_at = LogEnd();
  return tables;
}

void NoteStorages(DeltaTables* tables) {
  ListCell* cell;
  foreach (cell, tables->relations)
    tables->storages[foreach_current_index(cell)] = StorageNow(lfirst_oid(cell));
}

// What those who listen have is where it was.
void KeepStorages(DeltaTables* tables, const DeltaTables& former) {
  ListCell* cell;
  foreach (cell, tables->relations) {
    const int index = foreach_current_index(cell);
    ListCell* other;
    foreach (other, former.relations)
      if (lfirst_oid(other) == lfirst_oid(cell))
        tables->storages[index] = former.storages[foreach_current_index(other)];
  }
}

void KeepTables(Template* common, DeltaTables* tables) {
  auto* former = static_cast<DeltaTables*>(common->lasting);
  NoteStorages(tables);
  if (former != nullptr) {
    KeepStorages(tables, *former);
    tables->locked_in = former->locked_in;
    tables->long_record = former->long_record;
    tables->failed = former->failed;
    if (equal(tables->watches.all, former->watches.all)) {
      tables->heeded = former->heeded;
      tables->known_from = former->known_from;
      tables->made_at = former->made_at;
    }
  }
  MemoryContextSetParent(tables->context, common->context);
  common->lasting = tables;
  if (former != nullptr) MemoryContextDelete(former->context);
}

}  // namespace

DeltaTemplate* DeltaPartOf(Template* common) {
  if (common->part != nullptr) return static_cast<DeltaTemplate*>(common->part);
  LIVE_QUERIES_FAULT("evaluator-prepare");
  DeltaTemplate* part = NewPart<DeltaTemplate>();
  InMemoryContext(part->context, [&] {
    part->plan = PlanDelta(common->spec.query);
    part->evaluation = PrepareDeltaEvaluation(part->context, common->spec, &part->plan,
                                              RoutingColumns(common->spec.routing_conditions));
  });
  DeltaTables* tables = MakeTables(common->spec, part->plan);
  MemoryContextSetParent(part->context, common->context);
  common->part = part;
  KeepTables(common, tables);
  return part;
}

DeltaTables* DeltaTablesOf(const Template* common) {
  return static_cast<DeltaTables*>(common->lasting);
}

void ForgetKeptOf(const Template* common) {
  if (common->part != nullptr) ForgetKept(*static_cast<DeltaTemplate*>(common->part)->evaluation);
}

void PrepareDelta(Template* common) {
  SetLocally("lock_timeout", kLockWait);
  GuardAttaching(common, [&] { (void)DeltaPartOf(common); });
  // Nobody else has anything, so the new one decides what is to be had.
  if (common->listening > 0) return;
  DeltaTables* tables = DeltaTablesOf(common);
  NoteStorages(tables);
  tables->made_at = LogEnd();
  tables->long_record.apart = false;
}

bool RowsAreKnownFrom(DeltaTables* tables, XLogRecPtr position) {
  if (!tables->heeded) {
    uint64 since;
    if (!IdentitiesAreWatched(*PendingLog(), &since)) return false;
    tables->known_from = since;
    tables->heeded = true;
  }
  return tables->known_from <= position;
}

bool IsReadyToListen(Template* common, XLogRecPtr position) {
  DeltaTables* tables = DeltaTablesOf(common);
  return tables->made_at <= position && RowsAreKnownFrom(tables, position);
}

bool StoragesAreTheSame(const DeltaTables& tables) {
  ListCell* cell;
  foreach (cell, tables.relations)
    if (StorageNow(lfirst_oid(cell)) != tables.storages[foreach_current_index(cell)]) return false;
  return true;
}

Oid RelationOfWatch(uint32 number) {
  if (watched_relations == nullptr) return InvalidOid;
  const auto* entry = static_cast<const WatchedRelation*>(
      hash_search(watched_relations, &number, HASH_FIND, nullptr));
  return entry == nullptr ? InvalidOid : entry->relation;
}

}  // namespace live_queries
