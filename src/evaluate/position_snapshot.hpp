// Snapshots that stand at a position of the log: S(L) sees exactly what committed up to L. A plain
// snapshot does not, since transactions become visible in another order than their commits are
// logged. evaluate/README.md has the reasons. Process: evaluator, in a transaction.
#pragma once

#include <optional>
#include <span>

#include "pg/postgres.hpp"

extern "C" {
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "utils/snapshot.h"
}

namespace live_queries {

// So many xids may be hidden, subtransactions included: each look at a row that is not very old
// searches all of them.
inline constexpr int kMostHidden = 300;

// A commit of the log.
struct Commit {
  XLogRecPtr position;  // the end of its record
  TransactionId xid;
  const TransactionId* subxids;  // those that changed something; nullptr where they are too many
  int subxid_count;              // nobody hides a commit with more than kMostHidden
};

// A snapshot as the server takes it.
struct PlainSnapshot {
  Snapshot snapshot;
  XLogRecPtr taken_by;  // all that it sees was logged before
};

struct PositionSnapshot {
  Snapshot snapshot;
  XLogRecPtr position;
  TimestampTz clock;  // when it was taken, or somewhat later: see Lead in worker/evaluator.cpp
};

// Takes one and registers it. It lasts until it is released, or its transaction ends.
PlainSnapshot TakePlainSnapshot();

// What had committed by some moment and had not come to its end then.
struct EndingCommits {
  TransactionId* xids;  // in TopMemoryContext; nullptr: none
  int count;
};

// Of this moment.
EndingCommits ListEndingCommits();
// Whether new snapshots see all of them, and they have told what they have changed in the catalogs;
// then they are forgotten. For those that are visible, that is waited for: they wait for nothing
// any more. A commit that waits for a synchronous standby is not visible for as long as that takes.
bool HaveEnded(EndingCommits* commits);
void Forget(EndingCommits* commits);

// A snapshot to begin with, where the history is known from some moment on and what was unseen then
// is visible. It sees all that was logged before that moment, and nothing from `position` on. It is
// exact at no position: it is only good as the previous one of the first.
PositionSnapshot TakeFirstSnapshot();

// Makes of `plain` the snapshot at the newest position that it can stand for, at most `up_to`, and
// registers it. `previous` is still registered, and older. `history`: what committed after it, in
// the order of the log, to `plain.taken_by` at least; of transactions that changed nothing that the
// snapshot is to be used for, the history need not tell.
// Nothing if there is no such position, or too much were to be hidden: once more is visible, there
// will be.
std::optional<PositionSnapshot> SnapshotAtPosition(const PlainSnapshot& plain,
                                                   const PositionSnapshot& previous,
                                                   std::span<const Commit> history,
                                                   XLogRecPtr up_to);

void Release(const PlainSnapshot& plain);
void Release(const PositionSnapshot& snapshot);

// Whether parallel workers can be given the snapshot: they copy its lists into arrays whose size is
// that of a plain one's.
bool FitsParallelWorkers(Snapshot snapshot);

}  // namespace live_queries
