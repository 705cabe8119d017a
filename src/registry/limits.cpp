// Counts what is taken and given back, and refuses what exceeds a limit with an error that names
// it. Process: any.
#include "registry/limits.hpp"

#include "pg/settings.hpp"
#include "registry/connection.hpp"

namespace live_queries {
namespace {

// At least one live query, whatever the settings.
uint64_t Share(uint64_t whole, int percent) {
  const uint64_t share = whole * static_cast<uint64_t>(percent) / 100;
  return share > 0 ? share : 1;
}

uint64_t MemoryLimit() { return static_cast<uint64_t>(memory_limit_kb) * kKilobyte; }

RoleUsageShared* UsageOf(const ConnectionShared& connection) {
  return RoleUsageAt(connection.usage);
}

// As for PostgreSQL's own limits of connections: a superuser, as long as it acts as one.
bool IsExempt(const ConnectionShared& connection) {
  return superuser() && superuser_arg(UsageOf(connection)->role);
}

[[noreturn]] void RaiseTooMany(const char* setting, int percent, const char* of_whom) {
  ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
          errmsg("too many live queries of this %s", of_whom),
          errdetail(
              "A %s can have " UINT64_FORMAT ": %s is %d %% of live_queries.max_subscriptions.",
              of_whom, Share(static_cast<uint64_t>(max_subscriptions), percent), setting, percent),
          errhint("End some of them, or raise %s.", setting));
  pg_unreachable();
}

[[noreturn]] void RaiseTooMuch(const char* setting, int percent, const char* of_whom) {
  ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY),
          errmsg("too much shared memory for live queries of this %s", of_whom),
          errdetail("A %s can have " UINT64_FORMAT " kB: %s is %d %% of live_queries.memory_limit.",
                    of_whom, Share(MemoryLimit(), percent) / kKilobyte, setting, percent),
          errhint("End some of them, read the messages that wait, or raise %s.", setting));
  pg_unreachable();
}

// Counts one more unless that were more than `limit`.
bool CountWithin(Atomic<uint32_t>* count, uint64_t limit) {
  if (count->Add(1) < limit) return true;
  count->Subtract(1);
  return false;
}

// The index of a role's usage, or of a free one for InvalidOid; -1: none. The caller holds
// ControlLock.
int FindUsage(Oid role) {
  for (int index = 0; index < ConnectionCapacity(); ++index)
    if (RoleUsageAt(index)->role == role) return index;
  return -1;
}

// From nothing, whatever an exit that an error cut short has left there.
int BeginUsage(int index, Oid role) {
  RoleUsageShared* usage = RoleUsageAt(index);
  usage->role = role;
  usage->connections = 0;
  usage->subscriptions.Store(0);
  usage->bytes.Store(0);
  return index;
}

bool CountInDatabase(int consumer) {
  return WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    DatabaseShared* found = FindOrAddDatabase(MyDatabaseId);
    if (found == nullptr) return false;
    found->consumers[consumer].subscriptions.Add(1);
    return true;
  });
}

}  // namespace

RoleUsageShared* RoleUsageAt(int index) { return &places.role_usages[index]; }

void JoinRole(ConnectionShared* connection) {
  connection->bytes.Store(0);
  const Oid role = GetSessionUserId();
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    int index = FindUsage(role);
    // There are as many as connections, so one is free.
    if (index < 0) index = BeginUsage(FindUsage(InvalidOid), role);
    connection->usage = index;
    ++RoleUsageAt(index)->connections;
  });
}

void LeaveRole(ConnectionShared* connection) {
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    RoleUsageShared* usage = UsageOf(*connection);
    if (--usage->connections == 0) usage->role = InvalidOid;
  });
}

void ReservePlace(ConnectionShared* connection, int consumer) {
  const bool exempt = IsExempt(*connection);
  const uint64_t whole = static_cast<uint64_t>(max_subscriptions);
  if (!exempt &&
      static_cast<uint64_t>(CountSubscriptions(*connection)) >= Share(whole, connection_share))
    RaiseTooMany("live_queries.connection_share", connection_share, "connection");
  RoleUsageShared* usage = UsageOf(*connection);
  if (!CountWithin(&usage->subscriptions, exempt ? PG_UINT32_MAX : Share(whole, role_share)))
    RaiseTooMany("live_queries.role_share", role_share, "role");
  if (!CountWithin(&Control()->subscription_count, whole)) {
    usage->subscriptions.Subtract(1);
    ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
            errmsg("too many live queries on this server"),
            errdetail("There can be %d.", max_subscriptions),
            errhint("End some live queries, or raise live_queries.max_subscriptions."));
  }
  if (CountInDatabase(consumer)) return;
  usage->subscriptions.Subtract(1);
  Control()->subscription_count.Subtract(1);
  RaiseTooManyDatabases();
}

void RaiseTooManyDatabases() {
  ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
          errmsg("too many databases have live queries"),
          errdetail("There can be %d.", max_databases),
          errhint("Raise live_queries.max_databases."));
  pg_unreachable();
}

void ReleasePlaces(ConnectionShared* connection, int consumer, uint32_t count) {
  if (count == 0) return;
  UsageOf(*connection)->subscriptions.Subtract(count);
  Control()->subscription_count.Subtract(count);
  DatabaseShared* database = FindDatabase(connection->database.Load());
  if (database == nullptr) return;
  database->consumers[consumer].subscriptions.Subtract(count);
  WakeConsumer(database->consumers[consumer]);
}

void GiveUpPlace(ConnectionShared* connection, SubscriptionShared* subscription) {
  if (!subscription->counted) return;
  subscription->counted = false;
  // Of several that were replaced in one transaction, the last may have ended alone.
  for (uint64_t serial = subscription->replaces; serial != 0;) {
    SubscriptionShared* replaced = FindSubscription(*connection, serial);
    if (replaced == nullptr) break;
    if (replaced->status != SubscriptionStatus::kTerminated) {
      replaced->counted = true;
      return;
    }
    serial = replaced->replaces;
  }
  UncountInLane(connection, subscription->consumer);
  ReleasePlaces(connection, subscription->consumer, 1);
}

void ReserveMemory(ConnectionShared* connection, uint64_t bytes) {
  const bool exempt = IsExempt(*connection);
  Charge(connection, bytes);
  if (exempt) return;
  // Counted first, so that sessions that do this at one time cannot all find room.
  const bool connection_has_room =
      connection->bytes.Load() <= Share(MemoryLimit(), connection_share);
  const bool role_has_room = UsageOf(*connection)->bytes.Load() <= Share(MemoryLimit(), role_share);
  if (connection_has_room && role_has_room) return;
  Discharge(connection, bytes);
  if (!connection_has_room)
    RaiseTooMuch("live_queries.connection_share", connection_share, "connection");
  RaiseTooMuch("live_queries.role_share", role_share, "role");
}

void RaiseOutOfMemory() {
  ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of shared memory for live queries"),
          errhint("End some live queries, or raise live_queries.memory_limit."));
  pg_unreachable();
}

void Charge(ConnectionShared* connection, uint64_t bytes) {
  ChargeConnection(connection, bytes);
  ChargeRole(*connection, bytes);
}

void Discharge(ConnectionShared* connection, uint64_t bytes) {
  DischargeConnection(connection, bytes);
  DischargeRole(*connection, bytes);
}

void ChargeConnection(ConnectionShared* connection, uint64_t bytes) {
  connection->bytes.Add(bytes);
}

void ChargeRole(const ConnectionShared& connection, uint64_t bytes) {
  UsageOf(connection)->bytes.Add(bytes);
}

void DischargeConnection(ConnectionShared* connection, uint64_t bytes) {
  connection->bytes.Subtract(bytes);
}

void DischargeRole(const ConnectionShared& connection, uint64_t bytes) {
  UsageOf(connection)->bytes.Subtract(bytes);
}

bool MayKeepMail(ConnectionShared* connection, uint64_t bytes) {
  // Half is left for live queries, whoever does not read.
  return Control()->mail_bytes.Load() + bytes <= MemoryLimit() / 2 &&
         connection->bytes.Load() + bytes <= Share(MemoryLimit(), connection_share) &&
         UsageOf(*connection)->bytes.Load() + bytes <= Share(MemoryLimit(), role_share);
}

}  // namespace live_queries
