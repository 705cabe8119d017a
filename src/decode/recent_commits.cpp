// The list of xids that were in progress when they were looked at last: it is short, since most
// commits are visible when they are decoded. Process: decoder.
#include "decode/recent_commits.hpp"

#include "pg/compat.hpp"
#include "pg/fault.hpp"

extern "C" {
#include "access/transam.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"
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

// Between two looks at what gives no sign when it is over.
void Pause() {
  constexpr long kPollMs = 1;
  CHECK_FOR_INTERRUPTS();
  (void)WaitLatch(nullptr, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kPollMs, WaitEventVisibility());
}

// Waits for the commits that are in the log and not in the commit log yet, as a checkpoint does
// (CreateCheckPoint in xlog.c).
void WaitForCommitLog() {
  int waiting = 0;
  VirtualTransactionId* committing = GetVirtualXIDsDelayingChkpt(&waiting, DELAY_CHKPT_START);
  while (waiting > 0 && HaveVirtualXIDsDelayingChkpt(committing, waiting, DELAY_CHKPT_START))
    Pause();
  pfree(committing);
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
  const Snapshot snapshot = GetLatestSnapshot();
  for (uint32 i = 0; i < snapshot->xcnt; ++i)
    if (TransactionIdDidCommit(snapshot->xip[i])) NoteCommit(snapshot->xip[i]);
}

void WaitForRecentCommits() {
  if (LIVE_QUERIES_MUTATION("attach_at_once")) return;
  for (ForgetEnded(); count > 0; ForgetEnded()) Pause();
}

}  // namespace live_queries
