// How such a snapshot is made: what a plain one sees, but what committed after L. Hiding more is
// safe as long as the previous snapshot is held: for that one those transactions were running, so
// nothing that they have deleted was removed. Showing more than the plain one sees never is: rows
// would be marked as those of an aborted transaction. Process: evaluator.
#include "evaluate/position_snapshot.hpp"

#include "decode/unseen_commits.hpp"
#include "pg/fault.hpp"
#include "pg/log_end.hpp"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

Snapshot Register(Snapshot snapshot) {
  return RegisterSnapshotOnOwner(snapshot, TopTransactionResourceOwner);
}

// The newest position that `plain` can stand for: before the first commit that it does not see.
XLogRecPtr NewestPosition(const PlainSnapshot& plain, std::span<const Commit> history,
                          XLogRecPtr up_to) {
  const XLogRecPtr newest = plain.taken_by < up_to ? plain.taken_by : up_to;
  for (const Commit& commit : history) {
    if (commit.position > newest) break;
    if (XidInMVCCSnapshot(commit.xid, plain.snapshot)) return commit.position - 1;
  }
  return newest;
}

// What is to be hidden, as indexes of the history, or enough of it to see that it is too much.
// Where the server has dropped subtransactions from the lists, they go by their top-level
// transactions. What the previous one sees is none of it, though it be logged later: a truncation
// by VACUUM commits with an xid that no snapshot lists as running.
struct Hidden {
  int* commits;
  int count;
  int subxid_count;
};

Hidden FindHidden(const PlainSnapshot& plain, const PositionSnapshot& previous,
                  std::span<const Commit> history, XLogRecPtr position) {
  Hidden hidden = {static_cast<int*>(palloc(sizeof(int) * (history.size() + 1))), 0, 0};
  if (LIVE_QUERIES_MUTATION("hide_nothing")) return hidden;
  for (size_t i = 0; i < history.size() && hidden.count <= kMostHidden; ++i) {
    const Commit& commit = history[i];
    if (commit.position <= position || XidInMVCCSnapshot(commit.xid, plain.snapshot) ||
        !XidInMVCCSnapshot(commit.xid, previous.snapshot))
      continue;
    hidden.commits[hidden.count++] = static_cast<int>(i);
    if (!LIVE_QUERIES_MUTATION("forget_subtransactions"))
      hidden.subxid_count += plain.snapshot->suboverflowed ? 0 : commit.subxid_count;
  }
  return hidden;
}

TransactionId* CopyXids(const TransactionId* xids, size_t count, int more) {
  TransactionId* copy = static_cast<TransactionId*>(
      palloc(sizeof(TransactionId) * (count + static_cast<size_t>(more) + 1)));
  if (count > 0) memcpy(copy, xids, sizeof(TransactionId) * count);
  return copy;
}

// `plain`, to which those are running.
Snapshot Hide(Snapshot plain, std::span<const Commit> history, const Hidden& hidden) {
  SnapshotData changed = *plain;
  if (plain->suboverflowed) changed.subxcnt = 0;
  changed.xip = CopyXids(plain->xip, plain->xcnt, hidden.count);
  changed.subxip =
      CopyXids(plain->subxip, static_cast<size_t>(changed.subxcnt), hidden.subxid_count);
  for (int i = 0; i < hidden.count; ++i) {
    const Commit& commit = history[static_cast<size_t>(hidden.commits[i])];
    changed.xip[changed.xcnt++] = commit.xid;
    if (TransactionIdPrecedes(commit.xid, changed.xmin)) changed.xmin = commit.xid;
    if (hidden.subxid_count == 0) continue;
    for (int sub = 0; sub < commit.subxid_count; ++sub)
      changed.subxip[changed.subxcnt++] = commit.subxids[sub];
  }
  // The server's own counts and links are those of `plain`.
  changed.copied = false;
  changed.active_count = 0;
  changed.regd_count = 0;
  memset(&changed.ph_node, 0, sizeof(changed.ph_node));
  changed.snapXactCompletionCount = 0;
  changed.curcid = FirstCommandId;
  Snapshot registered = Register(&changed);
  pfree(changed.xip);
  pfree(changed.subxip);
  return registered;
}

}  // namespace

PlainSnapshot TakePlainSnapshot() {
  Snapshot snapshot = Register(GetTransactionSnapshot());
  return {snapshot, LogEnd()};
}

EndingCommits ListEndingCommits() {
  WaitForCommitLog();
  EndingCommits commits = {nullptr, 0};
  int capacity = 0;
  ForEachEndingCommit([&](TransactionId xid) {
    if (commits.count == capacity) {
      capacity = capacity == 0 ? 16 : capacity * 2;
      const size_t bytes = sizeof(TransactionId) * static_cast<size_t>(capacity);
      commits.xids = static_cast<TransactionId*>(commits.xids == nullptr
                                                     ? MemoryContextAlloc(TopMemoryContext, bytes)
                                                     : repalloc(commits.xids, bytes));
    }
    commits.xids[commits.count++] = xid;
  });
  return commits;
}

bool HaveEnded(EndingCommits* commits) {
  for (; commits->count > 0; --commits->count) {
    const TransactionId xid = commits->xids[commits->count - 1];
    if (TransactionIdIsInProgress(xid)) return false;
    XactLockTableWait(xid, nullptr, nullptr, XLTW_None);
  }
  Forget(commits);
  return true;
}

void Forget(EndingCommits* commits) {
  if (commits->xids != nullptr) pfree(commits->xids);
  *commits = {nullptr, 0};
}

PositionSnapshot TakeFirstSnapshot() {
  const PlainSnapshot plain = TakePlainSnapshot();
  return {plain.snapshot, plain.taken_by, GetCurrentTimestamp()};
}

std::optional<PositionSnapshot> SnapshotAtPosition(const PlainSnapshot& plain,
                                                   const PositionSnapshot& previous,
                                                   std::span<const Commit> history,
                                                   XLogRecPtr up_to) {
  const XLogRecPtr position = NewestPosition(plain, history, up_to);
  if (position < previous.position) return std::nullopt;
  const Hidden hidden = FindHidden(plain, previous, history, position);
  std::optional<PositionSnapshot> made;
  if (hidden.count + hidden.subxid_count <= kMostHidden)
    made = {Hide(plain.snapshot, history, hidden), position, GetCurrentTimestamp()};
  pfree(hidden.commits);
  return made;
}

void Release(const PlainSnapshot& plain) {
  UnregisterSnapshotFromOwner(plain.snapshot, TopTransactionResourceOwner);
}

void Release(const PositionSnapshot& snapshot) {
  UnregisterSnapshotFromOwner(snapshot.snapshot, TopTransactionResourceOwner);
}

bool FitsParallelWorkers(Snapshot snapshot) {
  return snapshot->xcnt <= static_cast<uint32>(GetMaxSnapshotXidCount()) &&
         snapshot->subxcnt <= GetMaxSnapshotSubxidCount();
}

}  // namespace live_queries
