// A database's slot in shared memory: what concerns all of its consumers, and the consumers.
// Process: any.
#pragma once

#include "pg/atomic.hpp"
#include "pg/postgres.hpp"
#include "registry/consumer.hpp"
#include "registry/costly_shapes.hpp"

namespace live_queries {

struct DatabaseShared {
  // Written under ControlLock; atomic for those who look without it.
  Atomic<Oid> database;                 // InvalidOid: the slot is free
  Atomic<TimestampTz> suspended_until;  // no consumer until then (DROP DATABASE)
  // Guarded by ControlLock.
  bool always_on;  // its decoder: named in live_queries.databases

  // The dirty log and a bit for each consumer that uses it (registry/dirty_log.hpp). Written under
  // ControlLock.
  Atomic<uint64_t> dirty_log;  // dsa_pointer
  Atomic<uint32_t> dirty_log_users;

  // Written by anyone.
  Atomic<uint64_t> commit_lsn;  // the latest commit of a writer, perhaps not flushed yet
  // How many times templates were compared with the catalogs, by any consumer. What was analysed
  // before such a check may be older than what that has found (subscribers/attaching.cpp).
  Atomic<uint64_t> checks;
  // Subscriptions up to this number are to be ended, since the extension was dropped. 0: none.
  Atomic<uint64_t> terminate_up_to;

  // Of its live queries, those that are better evaluated apart.
  CostlyShapesShared costly;

  ConsumerShared consumers[kMaxConsumers];
};

DatabaseShared* DatabaseAt(int index);  // of live_queries.max_databases

// A place of shared memory that nobody has used yet.
void InitDatabase(DatabaseShared* database, int index);

// The slot of `database`, or nullptr. Lock-free: a slot that is found stays as long as the caller
// has a subscription in it or is connected to the database.
DatabaseShared* FindDatabase(Oid database);

// The slot of `database`, made if need be. The caller holds ControlLock exclusively. Returns
// nullptr if live_queries.max_databases are in use.
DatabaseShared* FindOrAddDatabase(Oid database);

// Frees the slot of a database that was dropped, unless one of its consumers is still about to end;
// then the launcher does so. Never ereports.
void ForgetDatabase(Oid database);

// Whether a consumer of it has somebody to work for. The caller holds ControlLock.
bool IsWanted(const DatabaseShared& database, const ConsumerShared& consumer, TimestampTz now);

// Of all its consumers.
uint32_t CountSubscriptions(const DatabaseShared& database);
bool AnyProcess(const DatabaseShared& database);
// Whether `pid` (not 0) is the process of one.
bool IsConsumerOf(const DatabaseShared& database, pid_t pid);

// Sets the latches of the consumers that run. Never ereports.
void WakeConsumers(const DatabaseShared& database);
// Only of those that read the log. What concerns an evaluator, the decoder tells it.
void WakeDecoders(const DatabaseShared& database);

}  // namespace live_queries
