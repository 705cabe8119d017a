// The transaction that an evaluator works in, and S1, the snapshot of what its subscribers have,
// which lasts from one such transaction to the next. Process: evaluator.
//
// It is long, since snapshots die with their transaction; batches are subtransactions that are
// rolled back (pg/subtransaction.hpp), so that the locks of a batch end with it. And it is not too
// long, since others wait for the transactions of those who may have an old snapshot: CREATE INDEX
// CONCURRENTLY for one.
#pragma once

#include "evaluate/position_snapshot.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Makes the slot `name`. Once, outside a transaction; may ereport (no free slot).
void PrepareEvaluationTransaction(const char* name);

// Begins the first transaction.
void BeginEvaluationTransaction();

// S1. At first what TakeFirstSnapshot gives, which is not published.
const PositionSnapshot& HeldSnapshot();
void HoldFirst(const PositionSnapshot& first);
// `next` becomes S1 and is published; what was it is released.
void HoldNext(const PositionSnapshot& next);

// Whether it has lasted long enough, or somebody waits for it.
bool TransactionIsDue();
// Ends it and begins the next one. S1 stays what it is; whatever else depends on a transaction
// goes.
void ChangeTransaction();

}  // namespace live_queries
