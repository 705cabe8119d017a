// The transactions that S1 does not see, as the dirty log tells of them, in the order of the log:
// what snapshots at a position and batches are made of. Process: evaluator.
#pragma once

#include "evaluate/position_snapshot.hpp"
#include "pg/postgres.hpp"
#include "registry/dirty_log.hpp"

namespace live_queries {

// Joins the dirty log, as the consumer of that index; all that commits from now on is to be read.
// It is left at the exit of the process. Once; may ereport.
void OpenPending(DatabaseShared* database, int consumer);

// nullptr: it was left.
DirtyLogShared* PendingLog();

// Whether all that committed up to that position of the log can be read. If not, the latch of this
// process is set once it can.
bool PendingReaches(XLogRecPtr position);

// Reads what can be read. False if something is missing, or if too much waits: then all that was
// read is forgotten. Whatever commits behind the present end of the log is to be read again.
bool ReadPending();

// What was read and not forgotten, each beside its transaction. Valid until the next call of
// ReadPending or ForgetPending.
std::span<const Commit> PendingCommits();
std::span<const DirtyTransaction> PendingTransactions();

// Forgets what committed up to there.
void ForgetPending(XLogRecPtr position);

}  // namespace live_queries
