// The list of those that were not over when they were looked at last: it is short, since most
// commits are so when they are decoded, or a moment later. Process: decoder.
#include "decode/recent_commits.hpp"

#include <algorithm>

#include "decode/unseen_commits.hpp"
#include "pg/fault.hpp"

extern "C" {
#include "storage/lock.h"
#include "storage/procarray.h"
}

namespace live_queries {
namespace {

struct NotedCommit {
  XLogRecPtr end;
  TransactionId xid;
  bool tells;
};

// When it is full, those that are over are forgotten; a server that waits for a synchronous standby
// can have a commit waiting in each of its backends.
constexpr int kFirstCapacity = 256;
// Before all that is decoded.
constexpr XLogRecPtr kBeforeStart = 1;

NotedCommit* commits = nullptr;
int count = 0;
int capacity = 0;
int telling = 0;  // of these, without those from before the start
bool catalogs_changed = false;

bool TellsOfDecoded(const NotedCommit& commit) {
  return commit.tells && commit.end != kBeforeStart;
}

// (GetLockConflicts leaves out who is visible already.)
bool HoldsItsLock(TransactionId xid) {
  LOCKTAG tag;
  SET_LOCKTAG_TRANSACTION(tag, xid);
  if (LockAcquire(&tag, ShareLock, /* sessionLock */ true, /* dontWait */ true) ==
      LOCKACQUIRE_NOT_AVAIL)
    return true;
  (void)LockRelease(&tag, ShareLock, true);
  return false;
}

void ForgetOver() {
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    const NotedCommit commit = commits[i];
    if (!CommitIsOver(commit.xid, commit.tells)) {
      commits[kept++] = commit;
      continue;
    }
    catalogs_changed = catalogs_changed || commit.tells;
    if (TellsOfDecoded(commit)) --telling;
  }
  count = kept;
}

void MakeRoom() {
  ForgetOver();
  if (count < capacity / 2) return;
  const int grown = capacity == 0 ? kFirstCapacity : capacity * 2;
  auto* larger = static_cast<NotedCommit*>(
      MemoryContextAlloc(TopMemoryContext, sizeof(NotedCommit) * static_cast<size_t>(grown)));
  if (commits != nullptr) {
    memcpy(larger, commits, sizeof(NotedCommit) * static_cast<size_t>(count));
    pfree(commits);
  }
  commits = larger;
  capacity = grown;
}

}  // namespace

void NoteCommit(TransactionId xid, XLogRecPtr end, bool tells) {
  if (count == capacity) MakeRoom();
  commits[count] = {end, xid, tells};
  if (TellsOfDecoded(commits[count])) ++telling;
  ++count;
}

void NoteCommitsBeforeStart() {
  WaitForCommitLog();
  ForEachEndingCommit([](TransactionId xid) { NoteCommit(xid, kBeforeStart, true); });
}

bool CommitIsOver(TransactionId xid, bool tells) {
  return !TransactionIdIsInProgress(xid) && !(tells && HoldsItsLock(xid));
}

XLogRecPtr OverUpTo(XLogRecPtr position) {
  if (LIVE_QUERIES_MUTATION("attach_at_once")) return position;
  ForgetOver();
  return count == 0 ? position : std::min(position, commits[0].end - 1);
}

void NoteWhatIsTold() {
  if (telling > 0) ForgetOver();
}

XLogRecPtr ToldUpTo(XLogRecPtr position) {
  NoteWhatIsTold();
  for (int i = 0; i < count; ++i)
    if (TellsOfDecoded(commits[i])) return std::min(position, commits[i].end - 1);
  return position;
}

bool CatalogsChanged() { return catalogs_changed; }

bool TakeCatalogsChanged() {
  const bool changed = catalogs_changed;
  catalogs_changed = false;
  return changed;
}

}  // namespace live_queries
