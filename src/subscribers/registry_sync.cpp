// Attaching and detaching. Process: decoder.
#include "subscribers/registry_sync.hpp"

#include "decode/recent_commits.hpp"
#include "deliver/outbox.hpp"
#include "match/matcher.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/subtransaction.hpp"
#include "query/settings_capture.hpp"
#include "registry/ending.hpp"
#include "subscribers/subscriber.hpp"
#include "template/routing_index.hpp"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
#include "nodes/nodes.h"
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

constexpr const char* kRestarted = "the decoder was restarted and may have missed changes";

// A subscription whose subscriber is in its template but sleeps.
struct Attachment {
  int connection;
  uint64_t connection_id;
  uint64_t serial;
  XLogRecPtr begin;  // it wakes up once all that committed before is handled
};

List* attachments = NIL;  // of Attachment, in TopMemoryContext

// A slot of a connection that changed.
struct ChangedSlot {
  int slot;
  uint64_t serial;  // 0: free
};

void DetachSlot(LocalConnection* connection, int slot) {
  if (slot >= connection->slot_capacity || connection->slots[slot] == nullptr) return;
  LeaveRoute(connection->slots[slot]);
  pfree(connection->slots[slot]);
  connection->slots[slot] = nullptr;
}

void DetachAll(LocalConnection* connection) {
  for (int slot = 0; slot < connection->slot_capacity; ++slot) DetachSlot(connection, slot);
}

void GrowSlots(LocalConnection* connection, int slot) {
  if (slot < connection->slot_capacity) return;
  int capacity = connection->slot_capacity == 0 ? 4 : connection->slot_capacity;
  while (capacity <= slot) capacity *= 2;
  Subscriber** grown = static_cast<Subscriber**>(
      MemoryContextAllocZero(TopMemoryContext, sizeof(Subscriber*) * capacity));
  if (connection->slots != nullptr) {
    memcpy(grown, connection->slots, sizeof(Subscriber*) * connection->slot_capacity);
    pfree(connection->slots);
  }
  connection->slots = grown;
  connection->slot_capacity = capacity;
}

// Takes the list of changed slots, or all of them, under the connection's lock.
List* TakeChangedSlots(ConnectionShared* shared, uint64_t* connection_id, bool everything) {
  List* changed = NIL;
  WithLock(shared->lock, LW_EXCLUSIVE, [&] {
    *connection_id = shared->database == MyDatabaseId ? shared->connection_id : 0;
    if (*connection_id == 0 || !DsaPointerIsValid(shared->slots)) return;
    SlotShared* slots = FromArea<SlotShared>(shared->slots);
    auto take = [&](int slot) {
      ChangedSlot* one = static_cast<ChangedSlot*>(palloc(sizeof(ChangedSlot)));
      *one = {slot, slots[slot].serial};
      changed = lappend(changed, one);
      slots[slot].dirty = false;
    };
    if (everything) {
      shared->spill_reserved = false;  // by a decoder that died
      for (int slot = 0; slot < shared->slot_capacity; ++slot) take(slot);
    } else {
      for (int slot = shared->dirty_slot; slot >= 0; slot = slots[slot].next_dirty) take(slot);
    }
    shared->dirty_slot = -1;
  });
  return changed;
}

// Tells the subscriber that waits why its query cannot be watched, or the client of an older one.
void Refuse(int index, uint64_t connection_id, uint64_t serial, const ErrorData& error) {
  ConnectionShared* shared = ConnectionAt(index);
  ProblemShared problem;
  problem.Set(error.sqlerrcode, error.message, error.hint);
  const bool waits = WithLock(shared->lock, LW_EXCLUSIVE, [&] {
    SubscriptionShared* subscription =
        shared->connection_id == connection_id ? FindSubscription(*shared, serial) : nullptr;
    if (subscription == nullptr || subscription->phase == Phase::kAttached) return false;
    subscription->phase = Phase::kFailed;
    subscription->problem = problem;
    return true;
  });
  if (waits)
    ConditionVariableBroadcast(&MyConsumer()->progress);
  else
    (void)TerminateSubscription(shared, serial, problem);
}

// An error that one definition raises (a type is gone, a function of its author's fails) must not
// end the decoder, which would meet it again after its next start: nullptr.
Route* TryUseRoute(int index, uint64_t connection_id, uint64_t serial,
                   const DefinitionCopy& definition) {
  Route* route = nullptr;
  InRolledBackSubtransaction(
      [&] {
        LIVE_QUERIES_FAULT("decoder-attach");
        // The operators of the routing columns' types run here, and may be written in SQL.
        PushActiveSnapshot(GetTransactionSnapshot());
        const char* settings = definition.Field(DefinitionField::kSettings);
        const Identity identity = EnterIdentity(definition.session, definition.role, settings);
        route = UseRoute(definition.role, definition.session, settings,
                         definition.Field(DefinitionField::kSpec),
                         definition.Field(DefinitionField::kRoute));
        LeaveIdentity(identity);
        PopActiveSnapshot();
      },
      [&](ErrorData* error) {
        if (MatcherIsDamaged()) ReThrowError(error);
        if (route != nullptr && route->subscribers == nullptr) DropRoute(route);
        route = nullptr;
        Refuse(index, connection_id, serial, *error);
      });
  return route;
}

// Attaches one subscription to its template. The registry hears of it in
// FinishAttachments.
void Attach(int index, LocalConnection* connection, const ChangedSlot& changed, XLogRecPtr begin) {
  DefinitionCopy definition;
  if (!CopyDefinition(index, connection->id, changed.serial, &definition)) return;
  if (definition.phase == Phase::kFailed || definition.phase == Phase::kOutdated) return;
  Route* route = TryUseRoute(index, connection->id, changed.serial, definition);
  if (route == nullptr) return;
  Subscriber* subscriber = AllocateIn<Subscriber>(TopMemoryContext);
  subscriber->connection = index;
  subscriber->connection_id = connection->id;
  subscriber->serial = changed.serial;
  JoinRoute(subscriber, route);
  if (stringToNode(definition.Field(DefinitionField::kCatalogValues)) != nullptr)
    WatchValues(subscriber);
  GrowSlots(connection, changed.slot);
  connection->slots[changed.slot] = subscriber;
  // Its client has read a first result already, but nobody was decoding meanwhile.
  if (definition.phase == Phase::kAttached) {
    ResetSubscriberNow(subscriber, kRestarted);
    return;
  }
  // Until FinishAttachments it sleeps: what committed before is in the snapshot that comes.
  Mute(subscriber);
  subscriber->attaching = true;
  // The others of its template were looked at again since: it has missed that.
  if (definition.analysed_at < subscriber->route->owner->checked_at) {
    AskToSubscribeAgain(subscriber);
    return;
  }
  InMemoryContext(TopMemoryContext, [&] {
    Attachment* one = static_cast<Attachment*>(palloc(sizeof(Attachment)));
    *one = {index, connection->id, changed.serial, begin};
    attachments = lappend(attachments, one);
  });
}

void SyncConnection(int index, bool everything, XLogRecPtr begin) {
  ConnectionShared* shared = ConnectionAt(index);
  LocalConnection* connection = LocalConnectionAt(index);
  uint64_t connection_id;
  List* changed = TakeChangedSlots(shared, &connection_id, everything);
  if (connection->id != connection_id) {
    DetachAll(connection);
    if (connection->id != 0) ForgetConnection(index);
    connection->id = connection_id;
  }
  ListCell* cell;
  foreach (cell, changed) {
    const ChangedSlot& one = *static_cast<ChangedSlot*>(lfirst(cell));
    const Subscriber* present =
        one.slot < connection->slot_capacity ? connection->slots[one.slot] : nullptr;
    if (present != nullptr && present->serial == one.serial) {
      DefinitionCopy still_there;
      if (CopyDefinition(index, connection_id, one.serial, &still_there)) continue;
      DetachSlot(connection, one.slot);  // killed
      continue;
    }
    if (present != nullptr) LIVE_QUERIES_FAULT("decoder-detach");
    DetachSlot(connection, one.slot);
    if (one.serial != 0) Attach(index, connection, one, begin);
  }
}

// Tells the subscriber that from now on, what its new snapshot does not see, it gets.
void WakeUp(const Attachment& attachment) {
  const LocalConnection* connection = LocalConnectionAt(attachment.connection);
  const int slot = SlotOfSerial(attachment.serial);
  if (connection->id != attachment.connection_id || slot >= connection->slot_capacity) return;
  Subscriber* subscriber = connection->slots[slot];
  if (subscriber == nullptr || subscriber->serial != attachment.serial) return;
  subscriber->attaching = false;
  Unmute(subscriber);
  ConnectionShared* shared = ConnectionAt(attachment.connection);
  WithLock(shared->lock, LW_EXCLUSIVE, [&] {
    if (shared->connection_id != attachment.connection_id) return;
    SubscriptionShared* subscription = FindSubscription(*shared, attachment.serial);
    if (subscription != nullptr && subscription->phase == Phase::kRegistered)
      subscription->phase = Phase::kAttached;
  });
}

List* TakeDirtyConnections(bool* everything) {
  ConsumerShared* consumer = MyConsumer();
  List* indexes = NIL;
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    *everything = *everything || consumer->all_dirty.Load();
    consumer->all_dirty.Store(false);
    for (int index = consumer->dirty_connection.Load(); index >= 0;) {
      ConnectionShared* connection = ConnectionAt(index);
      indexes = lappend_int(indexes, index);
      connection->dirty = false;
      index = connection->next_dirty;
    }
    consumer->dirty_connection.Store(-1);
  });
  return indexes;
}

List* AllConnections() {
  List* indexes = NIL;
  for (int index = 0; index < ConnectionCapacity(); ++index) indexes = lappend_int(indexes, index);
  return indexes;
}

}  // namespace

bool CopyDefinition(int connection, uint64_t connection_id, uint64_t serial,
                    DefinitionCopy* definition) {
  ConnectionShared* shared = ConnectionAt(connection);
  return WithLock(shared->lock, LW_SHARED, [&] {
    if (shared->connection_id != connection_id) return false;
    const SubscriptionShared* subscription = FindSubscription(*shared, serial);
    if (subscription == nullptr || subscription->status == SubscriptionStatus::kTerminated)
      return false;
    const DefinitionShared* source = FromArea<DefinitionShared>(subscription->definition);
    char* data = static_cast<char*>(palloc(source->bytes()));
    CopyDefinitionData(*source, data);
    for (int i = 0; i < kDefinitionFields; ++i) definition->fields[i] = data + source->offsets[i];
    definition->role = subscription->role;
    definition->analysed_at = subscription->analysed_at;
    definition->values_here = subscription->values_here;
    definition->session = subscription->session;
    definition->phase = subscription->phase;
    return true;
  });
}

void SyncRegistry(bool everything) {
  const ConsumerShared& consumer = *MyConsumer();
  if (!everything && consumer.dirty_connection.Load() < 0 && !consumer.all_dirty.Load()) return;
  StartTransactionCommand();
  List* indexes = TakeDirtyConnections(&everything);
  if (everything) {
    indexes = AllConnections();
    NoteCommitsBeforeStart();
  }
  // Commits that are not flushed yet count: their writers may be the ones who subscribe now.
  const XLogRecPtr flushed = GetFlushRecPtr(nullptr);
  const XLogRecPtr committed = DatabaseAt(consumer.database)->commit_lsn.Load();
  const XLogRecPtr begin = committed > flushed ? committed : flushed;
  ListCell* cell;
  foreach (cell, indexes) SyncConnection(lfirst_int(cell), everything, begin);
  CommitTransactionCommand();
}

void FinishAttachments(XLogRecPtr handled) {
  if (attachments == NIL) return;
  List* waiting = NIL;
  List* ready = NIL;
  ListCell* cell;
  InMemoryContext(TopMemoryContext, [&] {
    foreach (cell, attachments) {
      Attachment* one = static_cast<Attachment*>(lfirst(cell));
      List** list = one->begin <= handled ? &ready : &waiting;
      *list = lappend(*list, one);
    }
  });
  if (ready != NIL) {
    LIVE_QUERIES_FAULT("decoder-attaching");
    WaitForRecentCommits();
    foreach (cell, ready) WakeUp(*static_cast<Attachment*>(lfirst(cell)));
    LIVE_QUERIES_FAULT("decoder-attached");
    ConditionVariableBroadcast(&MyConsumer()->progress);
  }
  list_free_deep(ready);
  list_free(attachments);
  attachments = waiting;
}

void TerminateSubscriber(Subscriber* subscriber, int sqlstate, const char* reason) {
  LIVE_QUERIES_FAULT("decoder-terminate");
  // An expression of the query has raised it.
  ProblemShared problem;
  problem.Set(sqlstate, reason, nullptr);
  problem.may_quote_rows = true;
  (void)TerminateSubscription(ConnectionAt(subscriber->connection), subscriber->serial, problem);
  DetachSlot(LocalConnectionAt(subscriber->connection), SlotOfSerial(subscriber->serial));
}

void AskToSubscribeAgain(Subscriber* subscriber, uint64_t values_here) {
  ConnectionShared* shared = ConnectionAt(subscriber->connection);
  WithLock(shared->lock, LW_EXCLUSIVE, [&] {
    if (shared->connection_id != subscriber->connection_id) return;
    SubscriptionShared* subscription = FindSubscription(*shared, subscriber->serial);
    if (subscription == nullptr || subscription->phase != Phase::kRegistered) return;
    subscription->phase = Phase::kOutdated;
    subscription->values_here = values_here;
  });
  DetachSlot(LocalConnectionAt(subscriber->connection), SlotOfSerial(subscriber->serial));
  ConditionVariableBroadcast(&MyConsumer()->progress);
}

void ResetSubscriberNow(Subscriber* subscriber, const char* reason) {
  if (subscriber->muted) return;
  Mute(subscriber);
  LIVE_QUERIES_FAULT("decoder-reset");
  ResetSubscription(ConnectionAt(subscriber->connection), subscriber->serial, reason);
}

}  // namespace live_queries
