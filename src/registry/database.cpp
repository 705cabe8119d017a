// Finds, makes and frees the slots of databases, and asks all consumers of one. Process: any.
#include "registry/database.hpp"

#include "pg/locks.hpp"
#include "pg/settings.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {
namespace {

void Reuse(DatabaseShared* slot, Oid database) {
  slot->database.Store(database);
  slot->suspended_until.Store(0);
  slot->always_on = false;
  slot->dirty_log_users.Store(0);  // the next decoder frees what was left
  slot->commit_lsn.Store(0);
  slot->terminate_up_to.Store(0);
  for (ConsumerShared& consumer : slot->consumers) ReuseConsumer(&consumer);
}

bool IsUsed(const DatabaseShared& slot) {
  const TimestampTz now = GetCurrentTimestamp();
  if (now < slot.suspended_until.Load()) return true;
  for (const ConsumerShared& consumer : slot.consumers)
    if (!IsIdle(consumer) || IsWanted(slot, consumer, now)) return true;
  return false;
}

}  // namespace

DatabaseShared* DatabaseAt(int index) { return &places.databases[index]; }

void InitDatabase(DatabaseShared* database, int index) {
  database->database.Init(InvalidOid);
  database->suspended_until.Init(0);
  database->always_on = false;
  database->dirty_log.Init(InvalidDsaPointer);
  database->dirty_log_users.Init(0);
  database->commit_lsn.Init(0);
  database->checks.Init(0);
  database->terminate_up_to.Init(0);
  InitCostlyShapes(&database->costly);
  for (int i = 0; i < kMaxConsumers; ++i) InitConsumer(&database->consumers[i], index, i);
}

DatabaseShared* FindDatabase(Oid database) {
  for (int i = 0; i < max_databases; ++i) {
    DatabaseShared* slot = DatabaseAt(i);
    if (slot->database.Load() == database) return slot;
  }
  return nullptr;
}

DatabaseShared* FindOrAddDatabase(Oid database) {
  Assert(LWLockHeldByMeInMode(ControlLock(), LW_EXCLUSIVE));
  if (DatabaseShared* found = FindDatabase(database)) return found;
  DatabaseShared* unused = FindDatabase(InvalidOid);
  for (int i = 0; i < max_databases && unused == nullptr; ++i)
    if (!IsUsed(*DatabaseAt(i))) unused = DatabaseAt(i);
  if (unused != nullptr) Reuse(unused, database);
  return unused;
}

void ForgetDatabase(Oid database) {
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    DatabaseShared* slot = FindDatabase(database);
    if (slot == nullptr || AnyProcess(*slot)) return;
    // One that is on its way finds that its place is not meant for it any more, and goes.
    for (ConsumerShared& consumer : slot->consumers) consumer.state.Store(ConsumerState::kStopped);
    slot->database.Store(InvalidOid);
    slot->always_on = false;
    slot->suspended_until.Store(0);
  });
}

bool IsWanted(const DatabaseShared& database, const ConsumerShared& consumer, TimestampTz now) {
  if (now < consumer.wanted_until || consumer.subscriptions.Load() > 0) return true;
  // A refresher needs its snapshots.
  if (consumer.kind == ConsumerKind::kEvaluator)
    return IsWanted(database, database.consumers[RefresherOf(consumer.index)], now);
  if (consumer.index != kDecoderConsumer) return false;
  if (database.always_on) return true;
  // It reads the log for the evaluators.
  for (int i = kFirstEvaluator; i < kMaxConsumers; ++i)
    if (IsWanted(database, database.consumers[i], now)) return true;
  return false;
}

uint32_t CountSubscriptions(const DatabaseShared& database) {
  uint32_t count = 0;
  for (const ConsumerShared& consumer : database.consumers) count += consumer.subscriptions.Load();
  return count;
}

bool AnyProcess(const DatabaseShared& database) {
  for (const ConsumerShared& consumer : database.consumers)
    if (consumer.pid.Load() != 0) return true;
  return false;
}

bool IsConsumerOf(const DatabaseShared& database, pid_t pid) {
  for (const ConsumerShared& consumer : database.consumers)
    if (consumer.pid.Load() == pid) return true;
  return false;
}

void WakeConsumers(const DatabaseShared& database) {
  for (const ConsumerShared& consumer : database.consumers) WakeConsumer(consumer);
}

void WakeDecoders(const DatabaseShared& database) {
  for (int i = 0; i < kFirstEvaluator; ++i) WakeConsumer(database.consumers[i]);
}

}  // namespace live_queries
