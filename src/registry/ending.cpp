// Marks subscriptions as over, and writes what their clients are told past the limits of the
// mailbox: a client must learn that it is told nothing more. Process: any.
#include "registry/ending.hpp"

#include "pg/fault.hpp"
#include "pg/settings.hpp"
#include "pg/try_catch.hpp"
#include "registry/definition_table.hpp"
#include "registry/kept_problem.hpp"
#include "registry/mail_storage.hpp"
#include "registry/terminated.hpp"

namespace live_queries {
namespace {

// Puts one small record past the limit of the mailbox, up to twice that. Without memory its lane
// has overflowed: then the backend looks at the state of each subscription. The caller holds the
// connection's lock exclusively.
void PutUrgentRecord(ConnectionShared* connection, SubscriptionShared* subscription,
                     const RecordHeader& header, std::string_view body) {
  // So much again: somebody who never reads and is told over and over again is not told any more.
  const bool may = MailInMemory(*connection) <= 2 * mailbox_size_kb * kKilobyte;
  const int consumer = subscription->consumer;
  MailBlockShared* block =
      may ? AppendBlock(connection, consumer, RecordBytes(header.body_bytes)) : nullptr;
  if (block == nullptr) {
    NoteOverflow(connection, consumer);
    return;
  }
  std::byte* place = RecordsIn(block);
  memcpy(place, &header, sizeof(header));
  memcpy(place + sizeof(header), body.data(), body.size());
  memset(place + sizeof(header) + body.size(), 0,
         RecordBytes(header.body_bytes) - sizeof(header) - body.size());
  ++subscription->messages_put;
  subscription->bytes_put += header.body_bytes;
}

// Marks a subscription as terminated and puts its last message; false if it was terminated already.
// The caller holds the connection's lock exclusively. If it ereports, nothing has changed.
bool EndSubscription(ConnectionShared* connection, SubscriptionShared* subscription,
                     const ProblemShared& problem) {
  if (subscription->status == SubscriptionStatus::kTerminated) return false;
  // Before anything changes, whatever that needs is there and mapped.
  MapDefinition(subscription->definition);
  PrepareProblem(connection, &subscription->problem);
  for (uint64_t serial = subscription->replaces; serial != 0;) {
    const SubscriptionShared* replaced = FindSubscription(*connection, serial);
    serial = replaced == nullptr ? 0 : replaced->replaces;
  }
  const TerminationBody body = WriteTermination(problem);
  RecordHeader header;
  header.kind = RecordKind::kTerminated;
  header.body_bytes = static_cast<uint32_t>(body.length);
  header.subscription_serial = subscription->serial;
  PutUrgentRecord(connection, subscription, header, body.view());
  subscription->status = SubscriptionStatus::kTerminated;
  KeepProblem(&subscription->problem, problem);
  MarkSlotDirty(connection, subscription->serial);
  RetireSubscription(connection, subscription);
  return true;
}

// The subscription of that serial, or, if it has gone, the one that has taken its place since: the
// others of that transaction are gone, too. 0: there is none. The caller holds the lock.
uint64_t PlaceHolder(const ConnectionShared& connection, uint64_t serial) {
  if (FindSubscription(connection, serial) != nullptr) return serial;
  uint64_t holder = 0;
  ForEachSubscription(connection, [&](const SubscriptionShared& subscription) {
    if (subscription.former == serial) holder = subscription.serial;
  });
  return holder;
}

}  // namespace

TerminationBody WriteTermination(const ProblemShared& problem) {
  TerminationBody body;
  memcpy(body.bytes, unpack_sql_state(problem.sqlstate), kSqlStateBytes);
  body.length =
      kSqlStateBytes + strlcpy(body.bytes + kSqlStateBytes, problem.message, kMaxProblemBytes);
  return body;
}

void ResetSubscription(ConnectionShared* connection, uint64_t serial, const char* reason) {
  const bool told = WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    SubscriptionShared* subscription = FindSubscription(*connection, serial);
    if (subscription == nullptr) return false;
    PutUrgentRecord(connection, subscription, ResetHeader(serial, 0, reason), reason);
    return true;
  });
  if (told) WakeConnection(connection);
}

bool TerminateSubscription(ConnectionShared* connection, uint64_t serial,
                           const ProblemShared& problem) {
  LIVE_QUERIES_FAULT("subscription-terminate");
  int consumer = 0;
  const bool ended = WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    SubscriptionShared* subscription = FindSubscription(*connection, serial);
    if (subscription == nullptr) return false;
    consumer = subscription->consumer;
    return EndSubscription(connection, subscription, problem);
  });
  if (!ended) return false;
  WakeConnection(connection);
  TellConsumer(connection, consumer);
  return true;
}

bool KillSubscription(ConnectionShared* connection, uint64_t serial, const ProblemShared& problem) {
  LIVE_QUERIES_FAULT("subscription-terminate");
  bool ended = false;
  auto end = [&] {
    const uint64_t holder = PlaceHolder(*connection, serial);
    if (holder == 0) return;
    ForEachSubscription(*connection, [&](SubscriptionShared& subscription) {
      if (subscription.serial != holder && subscription.former != holder) return;
      const bool one = EndSubscription(connection, &subscription, problem);
      ended = ended || one;
    });
  };
  // Those that have ended before an error are told.
  TryFinally([&] { WithLock(connection->lock, LW_EXCLUSIVE, end); },
             [&] {
               if (!ended) return;
               WakeConnection(connection);
               TellConsumers(connection);
             });
  return ended;
}

void NoteExtensionDropped() {
  if (!SharedMemoryExists()) return;
  DatabaseShared* database = FindDatabase(MyDatabaseId);
  if (database == nullptr) return;
  database->terminate_up_to.Raise(Control()->subscriptions_created.Load());
  WakeLauncher();
}

void TerminateDropped(DatabaseShared* database) {
  const uint64_t latest = database->terminate_up_to.Load();
  if (latest == 0) return;
  const Oid oid = database->database.Load();
  ProblemShared problem;
  problem.Set(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "extension live_queries was dropped",
              nullptr);
  for (int index = 0; index < ConnectionCapacity(); ++index) {
    ConnectionShared* connection = ConnectionAt(index);
    if (connection->connection_id.Load() == 0 || connection->database.Load() != oid) continue;
    LIVE_QUERIES_FAULT("extension-dropped");
    bool ended = false;
    WithLock(connection->lock, LW_EXCLUSIVE, [&] {
      if (connection->connection_id.Load() == 0 || connection->database.Load() != oid) return;
      ForEachSubscription(*connection, [&](SubscriptionShared& subscription) {
        if (NumberOfSerial(subscription.serial) > latest) return;
        // Those that an earlier attempt has ended are woken again.
        (void)EndSubscription(connection, &subscription, problem);
        ended = true;
      });
    });
    if (!ended) continue;
    WakeConnection(connection);
    TellConsumers(connection);
  }
  // Not before: after an error all of it is done again.
  uint64_t done = latest;
  (void)database->terminate_up_to.Replace(&done, 0);
  WakeConsumers(*database);
}

}  // namespace live_queries
