// The queue of ready transactions, oldest first, and the one batch that is being filled. Process:
// decoder.
#include "decode/ready_transactions.hpp"

namespace live_queries {
namespace {

MemoryContext batches_context = nullptr;
ChangeBatch* unfinished = nullptr;  // an error in it ends the process
ChangeBatch* first_ready = nullptr;
ChangeBatch* last_ready = nullptr;
size_t ready_bytes = 0;
uint64 ready_count = 0;

}  // namespace

void PrepareReadyTransactions(MemoryContext context) {
  batches_context =
      AllocSetContextCreate(context, "live_queries ready transactions", ALLOCSET_SMALL_SIZES);
}

ChangeBatch* UnfinishedBatch() {
  if (unfinished == nullptr) unfinished = ChangeBatch::Create(batches_context);
  return unfinished;
}

void FinishBatch(TransactionId xid, XLogRecPtr commit_end, TimestampTz committed_at, bool tells) {
  ChangeBatch* batch = unfinished;
  if (batch == nullptr) return;
  unfinished = nullptr;
  batch->Rewind();  // so that nothing has to be written when it is evaluated
  batch->xid = xid;
  batch->commit_end = commit_end;
  batch->committed_at = committed_at;
  batch->tells = tells;
  if (last_ready == nullptr)
    first_ready = batch;
  else
    last_ready->next = batch;
  last_ready = batch;
  ready_bytes += batch->bytes();
  ++ready_count;
}

ChangeBatch* FirstReadyBatch() { return first_ready; }

void RemoveFirstReadyBatch() {
  ChangeBatch* batch = first_ready;
  first_ready = batch->next;
  if (first_ready == nullptr) last_ready = nullptr;
  ready_bytes -= batch->bytes();
  --ready_count;
  batch->Destroy();
}

size_t ReadyBytes() { return ready_bytes; }
uint64 ReadyCount() { return ready_count; }

}  // namespace live_queries
