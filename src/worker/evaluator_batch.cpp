// Attempts, each in a subtransaction that is rolled back: the locks of a batch end with it.
// Process: evaluator.
#include "worker/evaluator_batch.hpp"

#include "deliver/outbox.hpp"
#include "evaluate/batch_evaluation.hpp"
#include "evaluate/clock_templates.hpp"
#include "evaluate/pending_transactions.hpp"
#include "pg/fault.hpp"
#include "pg/local_setting.hpp"
#include "pg/settings.hpp"
#include "pg/subtransaction.hpp"
#include "registry/consumer.hpp"
#include "subscribers/definition_check.hpp"
#include "template/evaluation_clock.hpp"
#include "template/guard.hpp"
#include "template/unchecked.hpp"
#include "worker/blame.hpp"

extern "C" {
#include "storage/lmgr.h"
#include "utils/inval.h"
}

namespace live_queries {
namespace {

constexpr int kMostChecks = 3;

MemoryContext batch_context = nullptr;

// Returns whether `body` has come to its end.
template <class Body>
bool Attempt(Body&& body) {
  GuardFailure failure = {};
  ErrorData* raised = nullptr;
  // Nobody else tells a background worker the time.
  SetCurrentStatementStartTimestamp();
  InRolledBackSubtransaction(body, [&](ErrorData* error) {
    raised = error;
    failure = AbandonGuard(*error);
  });
  ReleaseSessionLocks();
  if (raised == nullptr) return true;
  AbandonBatch();
  SettleFailure(failure, raised);
  return false;
}

// Transactions that are visible may not have told yet what they have changed in the catalogs: that
// comes before they release their locks.
void AwaitInvalidations(XLogRecPtr position) {
  for (const DirtyTransaction& transaction : PendingTransactions()) {
    const DirtyRecordShared& record = *transaction.record;
    if (record.commit_end > position) return;
    if (record.catalogs_changed) XactLockTableWait(record.xid, nullptr, nullptr, XLTW_None);
  }
}

// What the queries may take, in memory and in temporary files, until the end of the subtransaction.
void Limit(const char* name, int kilobytes) {
  if (kilobytes >= 0) SetLocally(name, psprintf("%dkB", kilobytes));
}

void Evaluate(const EvaluatorBatch& batch) {
  LIVE_QUERIES_FAULT("evaluator-batch");
  Limit("work_mem", evaluator_work_mem_kb);
  Limit("temp_file_limit", evaluator_temp_file_limit_kb);
  AcceptInvalidationMessages();
  LockConcerned(batch);
  // With the locks come the changes that were made before. A template that was looked at has no
  // alarm until it is prepared again: it may be concerned now, and its tables are not locked.
  for (int i = 0; i < kMostChecks && AnyUnchecked(); ++i) {
    CheckChangedDefinitions();
    LockConcerned(batch);
  }
  KeepingIdentity([&] {
    BeginGroup();
    EvaluateConcerned(batch, kOutboxSink);
  });
  LIVE_QUERIES_FAULT("evaluator-evaluated");
}

void Publish(int transactions) {
  LIVE_QUERIES_FAULT("evaluator-publish");
  ConsumerShared* consumer = MyConsumer();
  consumer->messages.Add(PublishStaged());
  consumer->changes_matched.Add(TakeChangeCount());
  consumer->transactions.Add(static_cast<uint64_t>(transactions));
  consumer->batches.Add(1);
  LIVE_QUERIES_FAULT("evaluator-published");
  BeginTurn();
}

// The batch of all pending transactions up to `position`.
DirtyBatch* TakeDirty(XLogRecPtr position, int* count) {
  DirtyBatch* dirty = DirtyBatch::Create();
  for (const DirtyTransaction& transaction : PendingTransactions()) {
    if (transaction.record->commit_end > position) break;
    dirty->Add(transaction);
    ++*count;
  }
  return dirty;
}

}  // namespace

void PrepareBatches(MemoryContext context) {
  batch_context = AllocSetContextCreate(context, "live_queries batch", ALLOCSET_DEFAULT_SIZES);
}

int64 RunBatch(const PositionSnapshot& before, const PositionSnapshot& after, bool unknown) {
  static uint64 number = 0;
  MemoryContextReset(batch_context);
  MemoryContext outer = MemoryContextSwitchTo(batch_context);
  int transactions = 0;
  EvaluatorBatch batch = {++number, before, after, TakeDirty(after.position, &transactions)};
  if (unknown) batch.dirty->AddUnknown();
  // Also without rows: those of the next batch may not come before.
  AwaitInvalidations(after.position);
  const TimestampTz begun_at = GetCurrentTimestamp();
  if (unknown || batch.dirty->span().last != nullptr || AnyWithNewTime(before.clock, after.clock)) {
    while (!Attempt([&] { Evaluate(batch); })) batch.number = ++number;
    Publish(transactions);
  }
  MemoryContextSwitchTo(outer);
  return GetCurrentTimestamp() - begun_at;
}

void CheckWithoutBatch() {
  AcceptInvalidationMessages();
  if (!AnyUnchecked()) return;
  MemoryContextReset(batch_context);
  MemoryContext outer = MemoryContextSwitchTo(batch_context);
  while (!Attempt([] { CheckChangedDefinitions(); })) {
  }
  BeginTurn();
  MemoryContextSwitchTo(outer);
}

}  // namespace live_queries
