// Commits that are in the log while snapshots do not see them yet: the record comes before the end
// of the transaction, by as long as a synchronous standby takes. Process: decoder, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/transam.h"
#include "storage/lock.h"
}

namespace live_queries {

// Sleeps for a moment, between two looks at what gives no sign when it is over.
void PauseForVisibility();

// Returns once all that is in the log by now as committed is so in the commit log.
void WaitForCommitLog();

// Calls `visit` for each transaction, and its subtransactions, that has committed by now and has
// not come to its end yet. Either snapshots do not see it, or they do and it has yet to tell what
// it has changed in the catalogs: that comes before it releases its locks, of which one is that of
// its xid. Goes through all locks of the server.
template <class Visit>
void ForEachEndingCommit(Visit&& visit) {
  LockData* locks = GetLockStatusData();
  for (int i = 0; i < locks->nelements; ++i) {
    const LockInstanceData& lock = locks->locks[i];
    const TransactionId xid = lock.locktag.locktag_field1;
    if (lock.locktag.locktag_type == LOCKTAG_TRANSACTION && lock.holdMask != 0 &&
        TransactionIdDidCommit(xid))
      visit(xid);
  }
  pfree(locks->locks);
  pfree(locks);
}

}  // namespace live_queries
