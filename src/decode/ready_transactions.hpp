// The decoded transactions that wait for their evaluation, in the order of their commits. The
// output plugin fills one and adds it to the end, worker/evaluation.cpp takes from the front.
// Process: decoder.
#pragma once

#include "decode/change_batch.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// All of it lives below `context`.
void PrepareReadyTransactions(MemoryContext context);

// Of the transaction that is being decoded; made when it is first asked for.
ChangeBatch* UnfinishedBatch();
// That transaction has committed: its batch, if it has one, is ready. `tells`: it has changed
// catalogs.
void FinishBatch(TransactionId xid, XLogRecPtr commit_end, TimestampTz committed_at, bool tells);

// The oldest; nullptr if nothing waits. The others follow by `next`.
ChangeBatch* FirstReadyBatch();
// Frees it.
void RemoveFirstReadyBatch();

// What waits, in bytes (in memory or in a file) and transactions.
size_t ReadyBytes();
uint64 ReadyCount();

}  // namespace live_queries
