// A database's slot in shared memory: its decoder, whom it serves, how far it is, and its counters.
// Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/xlogdefs.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
}

namespace live_queries {

// worker/README.md draws the transitions.
enum class DecoderState : uint8_t {
  kStopped,
  kLaunched,      // asked of the postmaster
  kFindingStart,  // creates its slot and waits for older transactions to end
  kRunning,
};

std::string_view ToText(DecoderState state);

inline constexpr size_t kMaxProblemBytes = 256;

// An error as it crosses processes. `message` and `hint` end with NUL.
struct ProblemShared {
  int sqlstate;  // 0: none
  char message[kMaxProblemBytes];
  char hint[kMaxProblemBytes];
  bool may_quote_rows;  // of a query: for its own session alone

  void Set(int code, const char* text, const char* advice);
};

struct DatabaseShared {
  // Guarded by ControlLock.
  Oid database;  // InvalidOid: the slot is free
  DecoderState state;
  pid_t decoder_pid;
  int decoder_proc;  // of its PGPROC; -1: none
  int failures;      // in a row
  TimestampTz retry_at;
  TimestampTz wanted_until;     // somebody is about to subscribe
  TimestampTz suspended_until;  // no decoder until then (DROP DATABASE)
  TimestampTz started_at;
  bool always_on;         // named in live_queries.databases
  ProblemShared problem;  // of the last start or crash, until the decoder runs again
  int dirty_connection;   // head of the list of connections that changed; -1: none
  bool all_dirty;         // one changed that is still on the list of another database
  char slot_name[NAMEDATALEN];

  // Atomic, written by anyone.
  pg_atomic_uint32 subscriptions;
  pg_atomic_uint64 commit_lsn;  // the latest commit of a writer, perhaps not flushed yet
  // Subscriptions up to this number are to be ended, since the extension was dropped. 0: none.
  pg_atomic_uint64 terminate_up_to;

  // Atomic, written by the decoder alone.
  pg_atomic_uint64 handled_lsn;  // all that committed up to here is in the mailboxes
  pg_atomic_uint64 memory_bytes;
  pg_atomic_uint64 transactions;
  pg_atomic_uint64 changes_decoded;
  pg_atomic_uint64 changes_ignored;
  pg_atomic_uint64 changes_matched;
  pg_atomic_uint64 messages;
  // Atomic, written by anyone.
  pg_atomic_uint64 resets;
  pg_atomic_uint64 errors;

  // Broadcast when a subscription was attached, the state changed or handled_lsn grew.
  ConditionVariable progress;
};

// The slot of `database`, or nullptr. Lock-free: a slot that is found stays as long as the caller
// has a subscription in it or is connected to the database.
DatabaseShared* FindDatabase(Oid database);

// The slot of `database`, made if need be. The caller holds ControlLock exclusively. Returns
// nullptr if live_queries.max_databases are in use.
DatabaseShared* FindOrAddDatabase(Oid database);

// Frees the slot of a database that was dropped, unless its decoder is still about to end; then the
// launcher does so. Never ereports.
void ForgetDatabase(Oid database);

// Counts a decoder that ended without being asked to, or could not be started: the next one is
// started later each time. The caller holds ControlLock exclusively.
void NoteFailure(DatabaseShared* database);

// Sets the latch of the decoder, if it runs. Never ereports.
void WakeDecoder(DatabaseShared* database);
// Sets the latch of the launcher, if it runs. Never ereports.
void WakeLauncher();

// Raises the stored problem of the decoder as an error of the caller.
[[noreturn]] void RaiseProblem(const ProblemShared& problem);

// Raises `target` to at least `value`.
void RaiseTo(pg_atomic_uint64* target, uint64_t value);

}  // namespace live_queries
