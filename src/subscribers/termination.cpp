// Ending subscriptions of others. Process: any.
#include "subscribers/termination.hpp"

#include "deliver/mailbox.hpp"
#include "pg/fault.hpp"

namespace live_queries {

bool TerminateSubscription(ConnectionShared* connection, uint64_t connection_id, uint64_t serial,
                           int sqlstate, const char* reason) {
  LIVE_QUERIES_FAULT("subscription-terminate");
  ProblemShared problem;
  problem.Set(sqlstate, reason, nullptr);
  const bool ended = WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    if (connection->connection_id != connection_id) return false;
    SubscriptionShared* subscription = FindSubscription(*connection, serial);
    if (subscription == nullptr || !EndSubscription(connection, subscription, problem))
      return false;
    MarkSlotDirty(connection, serial);
    return true;
  });
  if (!ended) return false;
  WakeConnection(connection);
  MarkConnectionDirty(connection);
  if (DatabaseShared* database = FindDatabase(connection->database)) WakeDecoder(database);
  return true;
}

void NoteExtensionDropped() {
  if (!SharedMemoryExists()) return;
  DatabaseShared* database = FindDatabase(MyDatabaseId);
  if (database == nullptr) return;
  RaiseTo(&database->terminate_up_to, pg_atomic_read_u64(&Control()->subscriptions_created));
  WakeLauncher();
}

void TerminateDropped(DatabaseShared* database) {
  const uint64 latest = pg_atomic_read_u64(&database->terminate_up_to);
  if (latest == 0) return;
  ProblemShared problem;
  problem.Set(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "extension live_queries was dropped",
              nullptr);
  for (int index = 0; index < ConnectionCapacity(); ++index) {
    ConnectionShared* connection = ConnectionAt(index);
    if (connection->connection_id == 0 || connection->database != database->database) continue;
    LIVE_QUERIES_FAULT("extension-dropped");
    bool ended = false;
    WithLock(connection->lock, LW_EXCLUSIVE, [&] {
      if (connection->connection_id == 0 || connection->database != database->database) return;
      ForEachSubscription(*connection, [&](SubscriptionShared& subscription) {
        if (NumberOfSerial(subscription.serial) > latest) return;
        // Those that an earlier attempt has ended are woken again.
        (void)EndSubscription(connection, &subscription, problem);
        MarkSlotDirty(connection, subscription.serial);
        ended = true;
      });
    });
    if (!ended) continue;
    WakeConnection(connection);
    MarkConnectionDirty(connection);
  }
  // Not before: after an error all of it is done again.
  uint64 done = latest;
  (void)pg_atomic_compare_exchange_u64(&database->terminate_up_to, &done, 0);
  WakeDecoder(database);
}

}  // namespace live_queries
