// The list of xids that were in progress when they were looked at last: it is short, since most
// commits are visible when they are decoded. Process: decoder.
#include "decode/recent_commits.hpp"

#include "decode/unseen_commits.hpp"
#include "pg/fault.hpp"

extern "C" {
#include "storage/procarray.h"
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

// When it is full, those that have ended are forgotten; a server that waits for a synchronous
// standby can have a commit waiting in each of its backends.
constexpr int kFirstCapacity = 256;

TransactionId* commits = nullptr;
int count = 0;
int capacity = 0;

void ForgetEnded() {
  int kept = 0;
  for (int i = 0; i < count; ++i)
    if (TransactionIdIsInProgress(commits[i])) commits[kept++] = commits[i];
  count = kept;
}

}  // namespace

void NoteCommit(TransactionId xid) {
  if (count == capacity) {
    ForgetEnded();
    if (count >= capacity / 2) {
      const int grown = capacity == 0 ? kFirstCapacity : capacity * 2;
      TransactionId* larger = static_cast<TransactionId*>(
          MemoryContextAlloc(TopMemoryContext, sizeof(TransactionId) * grown));
      if (commits != nullptr) {
        memcpy(larger, commits, sizeof(TransactionId) * count);
        pfree(commits);
      }
      commits = larger;
      capacity = grown;
    }
  }
  commits[count++] = xid;
}

void NoteCommitsBeforeStart() {
  WaitForCommitLog();
  ForEachUnseenCommit(GetLatestSnapshot(), [](TransactionId xid) { NoteCommit(xid); });
}

void WaitForRecentCommits() {
  if (LIVE_QUERIES_MUTATION("attach_at_once")) return;
  for (ForgetEnded(); count > 0; ForgetEnded()) PauseForVisibility();
}

}  // namespace live_queries
