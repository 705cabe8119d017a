// The list of those that were not over when they were looked at last: it is short, since most
// commits are so when they are decoded, or a moment later. Process: decoder.
#include "decode/recent_commits.hpp"

#include <algorithm>

#include "decode/unseen_commits.hpp"
#include "pg/compat_decoding.hpp"
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
  if (!TryLockOfSession(tag, ShareLock)) return true;
  (void)LockRelease(&tag, ShareLock, true);
  return false;
}

bool IsOver(const NotedCommit& commit) {
  if (!CommitIsOver(commit.xid, commit.tells)) return false;
  catalogs_changed = catalogs_changed || commit.tells;
  if (TellsOfDecoded(commit)) --telling;
  return true;
}

// Those that tell, or all of them.
void ForgetOver(bool all) {
  int kept = 0;
  for (int i = 0; i < count; ++i)
    if (!(all || TellsOfDecoded(commits[i])) || !IsOver(commits[i])) commits[kept++] = commits[i];
  count = kept;
}

// As far as nothing comes before them that is not.
void ForgetFirstOver() {
  int over = 0;
  while (over < count && IsOver(commits[over])) ++over;
  count -= over;
  if (over > 0) memmove(commits, commits + over, sizeof(NotedCommit) * static_cast<size_t>(count));
}

void MakeRoom() {
  ForgetOver(true);
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
  ForgetFirstOver();
  return count == 0 ? position : std::min(position, commits[0].end - 1);
}

void NoteWhatIsTold() {
  if (telling > 0) ForgetOver(false);
}

XLogRecPtr ToldUpTo(XLogRecPtr position) {
  NoteWhatIsTold();
  if (telling == 0) return position;
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
