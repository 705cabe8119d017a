// Who takes how much: places (live queries) and bytes of shared memory, counted for each
// connection, for the role that its session logged in as, and for the whole server; and the shares
// of the whole that one role and one connection may take. What exceeds them is refused to those
// alone who do. Process: any; each function says who calls it.
#pragma once

#include "pg/postgres.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {

struct ConnectionShared;
struct SubscriptionShared;

// What all connections of one role take. The role is the session user: whoever logs in cannot have
// more of them by SET ROLE. There is one for each role that has connections.
struct RoleUsageShared {
  // Guarded by ControlLock.
  Oid role;  // InvalidOid: free
  int32_t connections;
  // Atomic.
  Atomic<uint32_t> subscriptions;
  Atomic<uint64_t> bytes;
};

RoleUsageShared* RoleUsageAt(int index);  // as many as connections

// ----- client backend, for its own connection -----

// Begins and ends a connection's part in the usage of the role that has logged in. Never ereport.
void JoinRole(ConnectionShared* connection);
void LeaveRole(ConnectionShared* connection);

// Counts one more live query of a consumer, or raises 53400 with the limit that it would exceed.
void ReservePlace(ConnectionShared* connection, int consumer);

// Counts memory that is going to be allocated, or raises 53200 with the limit that it would exceed.
void ReserveMemory(ConnectionShared* connection, uint64_t bytes);

// Raises 53400, as live_queries.max_databases are in use.
[[noreturn]] void RaiseTooManyDatabases();

// Raises 53200 for want of memory of the whole server.
[[noreturn]] void RaiseOutOfMemory();

// ----- any process, never ereport -----

// Places that are free again.
void ReleasePlaces(ConnectionShared* connection, int consumer, uint32_t count);

// Gives back a subscription's place among the live ones, or to the one that it replaces and that is
// not over. The caller holds the connection's lock exclusively. Never ereports.
void GiveUpPlace(ConnectionShared* connection, SubscriptionShared* subscription);

// Memory that was allocated, or that has been freed, for a connection.
void Charge(ConnectionShared* connection, uint64_t bytes);
void Discharge(ConnectionShared* connection, uint64_t bytes);
// The same of the one of them alone: for what others of the role use as well.
void ChargeConnection(ConnectionShared* connection, uint64_t bytes);
void ChargeRole(const ConnectionShared& connection, uint64_t bytes);
void DischargeConnection(ConnectionShared* connection, uint64_t bytes);
void DischargeRole(const ConnectionShared& connection, uint64_t bytes);

// Whether so much more of messages that wait for a connection may take shared memory: else they go
// to its spill file, so that no role's clients keep others from subscribing by not reading.
bool MayKeepMail(ConnectionShared* connection, uint64_t bytes);

}  // namespace live_queries
