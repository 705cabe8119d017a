// Ending subscriptions of others. Process: any.
#include "worker/termination.hpp"

#include "deliver/mailbox.hpp"

namespace live_queries {

bool TerminateSubscription(ConnectionShared* connection, uint64_t connection_id, uint64_t serial,
                           int sqlstate, const char* reason) {
  const bool ended = WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    if (connection->connection_id != connection_id) return false;
    SubscriptionShared* subscription = FindSubscription(*connection, serial);
    if (subscription == nullptr || !MarkTerminated(*subscription, sqlstate, reason)) return false;
    PutTermination(connection, *subscription);
    MarkSlotDirty(connection, serial);
    return true;
  });
  if (!ended) return false;
  WakeConnection(connection);
  MarkConnectionDirty(connection);
  if (DatabaseShared* database = FindDatabase(connection->database)) WakeDecoder(database);
  return true;
}

void TerminateDatabase(Oid database, int sqlstate, const char* reason) {
  for (int index = 0; index < ConnectionCapacity(); ++index) {
    ConnectionShared* connection = ConnectionAt(index);
    if (connection->connection_id == 0 || connection->database != database) continue;
    bool ended = false;
    WithLock(connection->lock, LW_EXCLUSIVE, [&] {
      if (connection->connection_id == 0 || connection->database != database) return;
      ForEachSubscription(*connection, [&](SubscriptionShared& subscription) {
        if (!MarkTerminated(subscription, sqlstate, reason)) return;
        PutTermination(connection, subscription);
        MarkSlotDirty(connection, subscription.serial);
        ended = true;
      });
    });
    if (!ended) continue;
    WakeConnection(connection);
    MarkConnectionDirty(connection);
  }
  if (DatabaseShared* slot = FindDatabase(database)) WakeDecoder(slot);
}

}  // namespace live_queries
