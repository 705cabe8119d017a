// Takes the lists of what has changed, of connections and of slots, and goes through them. Process:
// decoder.
#include "subscribers/registry_sync.hpp"

#include "pg/fault.hpp"
#include "registry/connection.hpp"
#include "registry/consumer.hpp"
#include "subscribers/attaching.hpp"
#include "subscribers/mirror.hpp"

extern "C" {
#include "access/xlog.h"
}

namespace live_queries {
namespace {

// A slot of a connection that changed.
struct ChangedSlot {
  int slot;
  uint64_t serial;  // 0: free
};

// Takes the list of changed slots, or all of them, under the connection's lock.
List* TakeChangedSlots(ConnectionShared* shared, uint64_t* connection_id, bool everything) {
  List* changed = NIL;
  WithLock(shared->lock, LW_EXCLUSIVE, [&] {
    *connection_id = shared->database.Load() == MyDatabaseId ? shared->connection_id.Load() : 0;
    if (*connection_id == 0 || !DsaPointerIsValid(shared->slots)) return;
    const int consumer = MyConsumer()->index;
    LaneShared& lane = shared->lanes[consumer];
    SlotShared* slots = FromArea<SlotShared>(shared->slots);
    auto take = [&](int slot) {
      ChangedSlot* one = static_cast<ChangedSlot*>(palloc(sizeof(ChangedSlot)));
      *one = {slot, slots[slot].serial};
      changed = lappend(changed, one);
      slots[slot].dirty = false;
    };
    if (everything) {
      lane.spill_reserved = lane.spill_write;  // what one that died was writing
      for (int slot = 0; slot < shared->slots_used; ++slot)
        if (slots[slot].consumer == consumer) take(slot);
    } else {
      for (int slot = lane.dirty_slot; slot >= 0; slot = slots[slot].next_dirty) take(slot);
    }
    lane.dirty_slot = -1;
  });
  return changed;
}

// Whether the subscription that a subscriber stands for is still there, and not over.
bool StillLives(const ConnectionShared& connection, uint64_t serial) {
  return WithSubscription(connection, serial, LW_SHARED,
                          [](const SubscriptionShared* subscription) {
                            return subscription->status != SubscriptionStatus::kTerminated;
                          });
}

void SyncConnection(int index, bool everything, XLogRecPtr begin) {
  ConnectionShared* shared = ConnectionAt(index);
  MirroredConnection* connection = MirrorAt(index);
  uint64_t connection_id;
  List* changed = TakeChangedSlots(shared, &connection_id, everything);
  if (connection->id != connection_id) BecomeConnection(connection, connection_id);
  ListCell* cell;
  foreach (cell, changed) {
    const ChangedSlot& slot = *static_cast<ChangedSlot*>(lfirst(cell));
    Subscriber* present = SubscriberAt(*connection, slot.slot);
    const bool same = present != nullptr && present->serial == slot.serial;
    if (same && StillLives(*shared, slot.serial)) continue;
    if (present != nullptr && !same) LIVE_QUERIES_FAULT("decoder-detach");
    if (present != nullptr) RemoveSubscriber(present);
    if (!same && slot.serial != 0) BeginAttachment(connection, slot.serial, begin);
  }
}

List* TakeDirtyConnections(bool* everything) {
  ConsumerShared* consumer = MyConsumer();
  List* indexes = NIL;
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    *everything = *everything || consumer->all_dirty.Load();
    consumer->all_dirty.Store(false);
    for (int index = consumer->dirty_connection.Load(); index >= 0;) {
      LaneShared& lane = ConnectionAt(index)->lanes[consumer->index];
      indexes = lappend_int(indexes, index);
      lane.dirty = false;
      index = lane.next_dirty;
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

bool RegistryHasChanged() {
  const ConsumerShared& consumer = *MyConsumer();
  return consumer.dirty_connection.Load() >= 0 || consumer.all_dirty.Load();
}

void SyncRegistry(bool everything) {
  List* indexes = TakeDirtyConnections(&everything);
  if (everything) indexes = AllConnections();
  // Commits that are not flushed yet count: their writers may be the ones who subscribe now.
  const XLogRecPtr flushed = GetFlushRecPtr(nullptr);
  const XLogRecPtr committed = DatabaseAt(MyConsumer()->database)->commit_lsn.Load();
  const XLogRecPtr begin = committed > flushed ? committed : flushed;
  ListCell* cell;
  foreach (cell, indexes) SyncConnection(lfirst_int(cell), everything, begin);
}

}  // namespace live_queries
