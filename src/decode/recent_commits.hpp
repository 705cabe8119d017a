// Transactions that were decoded but may not be visible to new snapshots yet: the commit record
// comes before the end of the transaction. A subscription that attaches now gets nothing of them,
// so its snapshot, which comes later, must see them. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Notes a decoded transaction.
void NoteCommit(TransactionId xid);

// Notes those that committed before decoding began and have not ended yet, because they wait for a
// synchronous standby. In a transaction.
void NoteCommitsBeforeStart();

// Returns once new snapshots see all that was noted.
void WaitForRecentCommits();

}  // namespace live_queries
