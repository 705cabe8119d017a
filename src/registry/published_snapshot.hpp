// The snapshot of an evaluator, in shared memory, so that a client's backend reads its first result
// under it: what that shows is then a state that others come to by messages. Process: any.
#pragma once

#include <optional>

#include "pg/postgres.hpp"

extern "C" {
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "storage/lwlock.h"
#include "utils/dsa.h"
#include "utils/snapshot.h"
}

namespace live_queries {

struct PublishedSnapshotShared {
  LWLock lock;  // guards the rest

  // What is here is held by its evaluator at least as long as it is here.
  bool there;
  XLogRecPtr position;
  TimestampTz clock;  // what the queries that ask the clock show with it (model/clock_steps.hpp)
  TransactionId xmin;
  int proc;           // of the evaluator's PGPROC
  dsa_pointer bytes;  // serialised; kept for the next one. The evaluator's, and freed with it
  size_t capacity;
};

// What goes with a snapshot. Moments are ordered: by position, then by clock.
struct PublishedMoment {
  XLogRecPtr position;
  TimestampTz clock;

  bool operator<(const PublishedMoment& other) const {
    return position < other.position || (position == other.position && clock < other.clock);
  }
};

// A place of shared memory that nobody has used yet.
void InitPublishedSnapshot(PublishedSnapshotShared* place);

// ----- in the evaluator -----

// Puts it in the place of the one before, which must be released after this and not earlier.
// Without memory there is none then. May ereport.
void PublishSnapshot(PublishedSnapshotShared* place, Snapshot snapshot,
                     const PublishedMoment& moment);
// Takes it away, before it is released. Never ereports.
void WithdrawSnapshot(PublishedSnapshotShared* place);
// The same at the exit of the process, before its place among the processes is free.
void FreePublishedSnapshot(PublishedSnapshotShared* place);

// ----- in another process of the database -----
// Each returns nothing if there is none just now, or one of a moment before `at_least`. From then
// on this process keeps what the snapshot sees, as long as it is active or registered.

// Makes it the active one, and returns its moment.
std::optional<PublishedMoment> PushPublishedSnapshot(PublishedSnapshotShared* place,
                                                     const PublishedMoment& at_least);

struct RegisteredSnapshot {
  Snapshot snapshot;
  PublishedMoment moment;
};
// Registers it in the transaction.
std::optional<RegisteredSnapshot> RegisterPublishedSnapshot(PublishedSnapshotShared* place,
                                                            const PublishedMoment& at_least);

// Its moment alone.
std::optional<PublishedMoment> MomentOfPublished(PublishedSnapshotShared* place);

}  // namespace live_queries
