// What has committed in this database since a place in the log, in the order of the log: what
// snapshots at a position are made of. Read from the log itself. Process: evaluator.
#pragma once

#include "evaluate/position_snapshot.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// The history begins at `begin`, where a record begins.
void OpenCommitHistory(XLogRecPtr begin);

// Reads on to `end`, up to which the log is flushed if need be.
void ReadCommitHistory(XLogRecPtr end);

// All that was read and not forgotten; valid until the next call of the others.
std::span<const Commit> CommitHistory();

// Forgets what committed up to there.
void ForgetCommitHistory(XLogRecPtr position);

}  // namespace live_queries
