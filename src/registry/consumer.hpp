// A consumer: a worker of a database that live queries belong to, and that puts their messages into
// mailboxes. Its state, how far it is, and its counters, in shared memory. Process: any.
#pragma once

#include "pg/atomic.hpp"
#include "pg/postgres.hpp"
#include "pg/settings.hpp"
#include "registry/problem.hpp"
#include "registry/published_snapshot.hpp"

extern "C" {
#include "access/xlogdefs.h"
#include "storage/condition_variable.h"
}

namespace live_queries {

struct DatabaseShared;

// worker/README.md draws the transitions.
enum class ConsumerState : uint8_t {
  kStopped,
  kLaunched,      // asked of the postmaster
  kFindingStart,  // creates its slot and waits for older transactions to end
  kRunning,
};

std::string_view ToText(ConsumerState state);

// Why the subscriptions of one that has ended are reset.
inline constexpr const char* kRestartedReason =
    "the decoder was restarted and may have missed changes";

// No position of the log is as great.
inline constexpr uint64_t kNothingAwaited = UINT64_MAX;

enum class ConsumerKind : uint8_t {
  kDecoder,
  kEvaluator,
  kRefresher,  // evaluates what takes long, at snapshots of the evaluator that it follows
};

std::string_view ToText(ConsumerKind kind);

// So many can a database have: its decoder, a second one that only tests have, evaluators, and a
// refresher of each. Those whose positions may be behind come last.
inline constexpr int kDecoderConsumer = 0;
inline constexpr int kFirstEvaluator = 2;
inline constexpr int kFirstRefresher = kFirstEvaluator + kMaxEvaluators;
inline constexpr int kMaxConsumers = kFirstRefresher + kMaxEvaluators;

constexpr ConsumerKind KindOf(int index) {
  if (index < kFirstEvaluator) return ConsumerKind::kDecoder;
  return index < kFirstRefresher ? ConsumerKind::kEvaluator : ConsumerKind::kRefresher;
}
constexpr int RefresherOf(int evaluator) { return evaluator + kMaxEvaluators; }
// The evaluator that a refresher follows.
constexpr int LeaderOf(int refresher) { return refresher - kMaxEvaluators; }

struct ConsumerShared {
  // Never changed.
  ConsumerKind kind;
  int index;     // among the consumers of its database
  int database;  // the slot of that: DatabaseAt

  // Written under ControlLock; atomic for those who look without it.
  Atomic<ConsumerState> state;
  Atomic<pid_t> pid;             // 0: none
  Atomic<int> proc;              // of its PGPROC; -1: none
  Atomic<int> dirty_connection;  // head of the list of connections that changed; -1: none
  Atomic<bool> all_dirty;        // one changed that is still on the list of another database

  // Guarded by ControlLock.
  int failures;  // in a row
  TimestampTz retry_at;
  TimestampTz wanted_until;  // somebody is about to subscribe
  TimestampTz started_at;
  ProblemShared problem;  // of the last start or crash, until it runs again
  char slot_name[NAMEDATALEN];

  // Written by anyone.
  Atomic<uint64_t> awaited;  // the least position that a backend waits for (position.hpp)
  Atomic<uint32_t> subscriptions;
  Atomic<uint64_t> resets;
  Atomic<uint64_t> errors;

  // Written by the consumer alone.
  Atomic<uint64_t> position;  // all that committed up to here is in the mailboxes
  Atomic<uint64_t> memory_bytes;
  Atomic<uint64_t> templates;  // that the subscriptions have
  Atomic<uint64_t> transactions;
  Atomic<uint64_t> changes_decoded;
  Atomic<uint64_t> changes_ignored;
  Atomic<uint64_t> changes_matched;
  Atomic<uint64_t> messages;
  Atomic<uint64_t> evaluations;  // of a template on a batch, or on a piece of a transaction

  // Of an evaluator or a refresher, written by itself alone.
  Atomic<uint64_t> batches;               // that had something to evaluate
  Atomic<uint64_t> refreshes;             // those of them that evaluated a whole query
  Atomic<uint64_t> probe_us;              // microseconds: finding what may be stale,
  Atomic<uint64_t> query_us;              // evaluating that,
  Atomic<uint64_t> difference_us;         // and comparing
  Atomic<uint64_t> lapses;                // of the dirty log
  Atomic<TimestampTz> snapshot_taken_at;  // S1; 0: none

  // Of an evaluator or a refresher: what first results are read under.
  PublishedSnapshotShared snapshot;

  // Broadcast when a subscription was attached, the state changed or the position is the log's end.
  ConditionVariable progress;
};

// A place of shared memory that nobody has used yet.
void InitConsumer(ConsumerShared* consumer, int database, int index);
// Begins at nothing, for another database. The caller holds ControlLock exclusively.
void ReuseConsumer(ConsumerShared* consumer);

// Whether it has no process, and none is on its way. The caller holds ControlLock.
bool IsIdle(const ConsumerShared& consumer);

// Whether it has ended without being asked to, or could not be started, and does not run again yet.
bool FailsToRun(const ConsumerShared& consumer);

// Counts one that ended without being asked to, or could not be started: the next one is started
// later each time. The caller holds ControlLock exclusively.
void NoteFailure(ConsumerShared* consumer);

// Sets its latch, if it runs. Never ereports.
void WakeConsumer(const ConsumerShared& consumer);
// Sets the latch of the launcher, if it runs. Never ereports.
void WakeLauncher();

// ----- in its own process -----

ConsumerShared* MyConsumer();
// At its start.
void SetMyConsumer(ConsumerShared* consumer);

}  // namespace live_queries
