// The groups of a plan that a batch changes, by the rows that it adds to them and takes from them
// (delta/moving_groups.hpp). What is not kept of a group is read once, at the older snapshot.
// Process: evaluator.
#pragma once

#include "delta/moving_groups.hpp"
#include "evaluate/result_row.hpp"
#include "evaluate/stale_values.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

struct MovingEvaluation;

// In `context`, with which it goes; `plan` stays the caller's. Of rows as `encoder` takes them.
// nullptr: the groups do not tell whose they are.
MovingEvaluation* PrepareMoving(MemoryContext context, const MovingGroups& plan,
                                const ResultEncoder& encoder);

int SetOfMoving(const MovingEvaluation& moving);

// Nothing is kept.
void ForgetMoving(MovingEvaluation* moving);

struct Moved {
  bool all;       // false: there are too many, nothing was handed out, and nothing is kept
  uint64 groups;  // that have changed
  uint64 rows;    // that were read
};

// Hands out, of all groups that somebody watches and that may have changed, the rows of the result
// before (side -1) and after (1). `values`: of all stale sets but that of the groups. Memory is of
// CurrentMemoryContext. Raises whatever the queries and aggregates raise.
Moved MoveGroups(MovingEvaluation* evaluation, const StaleSets& sets, const SnapshotPair& snapshots,
                 const BatchSource& source, StaleValues* values,
                 void (*take)(TupleTableSlot* row, int side, void* context), void* context);

}  // namespace live_queries
