// Finding subscriptions, and telling others of what has changed. Process: any.
#include "registry/connection.hpp"

extern "C" {
#include "storage/procsignal.h"
}

namespace live_queries {
namespace {

ConnectionShared* my_connection = nullptr;

// Puts it on the consumer's list, and wakes that. The caller holds ControlLock exclusively.
void MarkLaneDirty(ConnectionShared* connection, ConsumerShared* consumer) {
  // One that starts looks at everything.
  if (consumer->pid.Load() == 0) return;
  LaneShared& lane = connection->lanes[consumer->index];
  if (!lane.dirty) {
    lane.dirty = true;
    lane.dirty_in = connection->database.Load();
    lane.next_dirty = consumer->dirty_connection.Load();
    consumer->dirty_connection.Store(connection->proc);
  } else if (lane.dirty_in != connection->database.Load()) {
    // Still on the list of the database that this place served before.
    consumer->all_dirty.Store(true);
  }
  WakeConsumer(*consumer);
}

}  // namespace

ConnectionShared* ConnectionAt(int index) { return &places.connections[index]; }

int ConnectionCapacity() { return MaxBackends; }

void MakeUnguessableName(ChannelName& name) {
  uint8_t random[kChannelRandomBytes];
  if (!pg_strong_random(random, sizeof(random)))
    ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
            errmsg("could not generate a name: no source of strong random numbers"));
  name[FormatChannel(random, name)] = '\0';
}

void CountInLane(ConnectionShared* connection, int consumer) {
  connection->lanes[consumer].subscription_count.Add(1);
  connection->used_lanes.Store(UsedLanes(*connection).With(IndexSet::Of(consumer)).bits());
}

void UncountInLane(ConnectionShared* connection, int consumer) {
  if (connection->lanes[consumer].subscription_count.Subtract(1) > 1) return;
  connection->used_lanes.Store(UsedLanes(*connection).Without(IndexSet::Of(consumer)).bits());
}

SubscriptionShared* FindSubscription(const ConnectionShared& connection, uint64_t serial) {
  const int slot = SlotOfSerial(serial);
  if (serial == 0 || !DsaPointerIsValid(connection.slots) || slot >= connection.slot_capacity)
    return nullptr;
  const SlotShared& place = FromArea<SlotShared>(connection.slots)[slot];
  return place.serial == serial ? FromArea<SubscriptionShared>(place.subscription) : nullptr;
}

ConnectionShared* MyConnectionIfAny() { return my_connection; }

void SetMyConnection(ConnectionShared* connection) { my_connection = connection; }

void MarkSlotDirty(ConnectionShared* connection, uint64_t serial) {
  const int slot = SlotOfSerial(serial);
  SlotShared& place = FromArea<SlotShared>(connection->slots)[slot];
  if (place.dirty) return;
  LaneShared& lane = connection->lanes[place.consumer];
  place.dirty = true;
  place.next_dirty = lane.dirty_slot;
  lane.dirty_slot = slot;
}

void TellConsumer(ConnectionShared* connection, int consumer) {
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    if (DatabaseShared* database = FindDatabase(connection->database.Load()))
      MarkLaneDirty(connection, &database->consumers[consumer]);
  });
}

void TellConsumers(ConnectionShared* connection) {
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    DatabaseShared* database = FindDatabase(connection->database.Load());
    if (database == nullptr) return;
    for (ConsumerShared& consumer : database->consumers) MarkLaneDirty(connection, &consumer);
  });
}

void WakeConnection(ConnectionShared* connection) {
  if (connection->wake_pending.Exchange(true)) return;
  // 0 would be our own process group.
  const pid_t pid = connection->pid.Load();
  if (pid == 0) return;
  SendProcSignal(pid, PROCSIG_NOTIFY_INTERRUPT, connection->backend_id.Load());
}

void ForgetDirtyConnections(ConsumerShared* consumer) {
  for (int index = consumer->dirty_connection.Load(); index >= 0;) {
    LaneShared& lane = ConnectionAt(index)->lanes[consumer->index];
    lane.dirty = false;
    index = lane.next_dirty;
  }
  consumer->dirty_connection.Store(-1);
  consumer->all_dirty.Store(false);
}

}  // namespace live_queries
