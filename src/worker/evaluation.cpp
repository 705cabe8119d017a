// The group of transactions that is evaluated at once, and what happens if an expression fails: the
// whole group is rolled back, who is to blame is ended, and the group is done again. So a group
// without errors needs no subtransaction. Process: decoder.
#include "worker/evaluation.hpp"

#include <climits>

#include "decode/ready_transactions.hpp"
#include "decode/recent_commits.hpp"
#include "decode/watched_tables.hpp"
#include "deliver/outbox.hpp"
#include "match/matcher.hpp"
#include "pg/fault.hpp"
#include "pg/files.hpp"
#include "pg/memory.hpp"
#include "pg/try_catch.hpp"
#include "registry/consumer.hpp"
#include "subscribers/definition_check.hpp"
#include "template/evaluation_clock.hpp"
#include "template/guard.hpp"
#include "template/unchecked.hpp"
#include "worker/blame.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

// One transaction of ours serves so many decoded ones.
constexpr uint64 kGroupTransactions = 1000;
constexpr size_t kGroupBytes = 16 * 1024 * 1024;

MemoryContext evaluation_context = nullptr;
bool is_repeated = false;  // the oldest group, by the time that its roles have left

// The oldest ready transactions that new snapshots see. One that has changed catalogs too has told
// that: its rows are not evaluated before the definitions that it concerns are checked.
int VisibleGroup() {
  int count = 0;
  size_t bytes = 0;
  for (ChangeBatch* batch = FirstReadyBatch(); batch != nullptr; batch = batch->next) {
    if (count > 0 && (count >= static_cast<int>(kGroupTransactions) || bytes > kGroupBytes)) break;
    if (!CommitIsOver(batch->xid, batch->tells)) break;
    bytes += batch->bytes();
    ++count;
  }
  return count;
}

// A transaction in which functions of the subscribers' run: they must not write, nor make the
// commit fail.
void StartEvaluation() {
  // Nobody else tells a background worker the time: now() would stand still.
  SetCurrentStatementStartTimestamp();
  StartTransactionCommand();
  XactReadOnly = true;
  XactIsoLevel = XACT_READ_COMMITTED;
  PushActiveSnapshot(GetTransactionSnapshot());
}

void EndEvaluation() {
  PopActiveSnapshot();
  CommitTransactionCommand();
  ReleaseSessionLocks();
}

void EvaluateGroup(int count) {
  LIVE_QUERIES_FAULT("decoder-evaluate");
  StartEvaluation();
  CheckChangedDefinitions();
  KeepingIdentity([&] {
    ChangeBatch* batch = FirstReadyBatch();
    for (int i = 0; i < count; ++i, batch = batch->next) {
      BeginGroup();
      EvaluateBatch(batch, kOutboxSink);
    }
  });
  LIVE_QUERIES_FAULT("decoder-evaluated");
  EndEvaluation();
}

// After an error in the group: rolls back and ends those whose expression raised it.
void Recover(ErrorData* error) {
  const GuardFailure failure = AbandonGuard(*error);
  AbortCurrentTransaction();
  ReleaseSessionLocks();
  MemoryContextSwitchTo(evaluation_context);
  AbandonEvaluation();
  SettleFailure(failure, error);
}

// What the batches keep in files is not the functions' doing.
int LimitBesideBatches(int limit_kb) {
  const size_t batches_kb = ReadyBytes() / 1024;
  if (limit_kb < 0 || batches_kb > static_cast<size_t>(INT_MAX - limit_kb)) return -1;
  return limit_kb + static_cast<int>(batches_kb);
}

bool Attempt(int count) {
  bool failed = false;
  TryCatch(
      evaluation_context, [&] { EvaluateGroup(count); },
      [&](ErrorData* error) {
        failed = true;
        Recover(error);
      });
  return !failed;
}

void Publish(int count) {
  ConsumerShared* consumer = MyConsumer();
  LIVE_QUERIES_FAULT("decoder-publish");
  const uint64 messages = PublishStaged();
  for (int i = 0; i < count; ++i) RemoveFirstReadyBatch();
  consumer->messages.Add(messages);
  consumer->changes_matched.Add(TakeMatchedCount());
  consumer->evaluations.Add(TakeEvaluationCount());
  consumer->transactions.Add(static_cast<uint64_t>(count));
  LIVE_QUERIES_FAULT("decoder-published");
  BeginTurn();
  if (FirstReadyBatch() == nullptr) FreeUnusedShapes();
}

}  // namespace

void PrepareEvaluation(MemoryContext context) {
  evaluation_context =
      AllocSetContextCreate(context, "live_queries evaluation", ALLOCSET_DEFAULT_SIZES);
}

Progress EvaluateReady() {
  if (FirstReadyBatch() == nullptr) return Progress::kNothingReady;
  const int count = VisibleGroup();
  if (count == 0) return Progress::kBlocked;
  // What was told before these became visible is looked at before them.
  NoteWhatIsTold();
  MemoryContextReset(evaluation_context);
  MemoryContextSwitchTo(evaluation_context);
  const bool evaluated =
      WithTempFileLimit(LimitBesideBatches(temp_file_limit), [&] { return Attempt(count); });
  if (evaluated) Publish(count);
  is_repeated = !evaluated;
  return Progress::kSome;
}

void CheckDefinitions(bool hear) {
  if (!hear && !CatalogsChanged() && !AnyUnchecked()) return;
  StartEvaluation();
  CheckChangedDefinitions();
  EndEvaluation();
  if (!is_repeated) BeginTurn();
}

}  // namespace live_queries
