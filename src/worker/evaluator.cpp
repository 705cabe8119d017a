// The evaluator's life and its loop: from S1, which its subscribers have, to S2, the newest
// position that a snapshot can stand at; what has changed in between is a batch. Process:
// evaluator.
#include "worker/evaluator.hpp"

#include "evaluate/commit_history.hpp"
#include "evaluate/evaluation_transaction.hpp"
#include "evaluate/old_indexes.hpp"
#include "evaluate/position_snapshot.hpp"
#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/subtransaction.hpp"
#include "registry/consumer.hpp"
#include "registry/database.hpp"
#include "registry/position.hpp"
#include "registry/shared_memory.hpp"
#include "worker/consumer_process.hpp"
#include "worker/worker_process.hpp"

extern "C" {
#include "access/xact.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/inval.h"
}

namespace live_queries {
namespace {

// Also how old S1 may become where nothing happens: it keeps dead rows from being removed.
constexpr long kSafetyNetMs = 1000;
constexpr long kVisibilityPollMs = 1;  // a commit becomes visible without a sign
constexpr int64 kTurnPaceUs = 500;     // as the decoder's

void Sleep(long timeout_ms) { SleepUntilWoken(timeout_ms, WaitEventEvaluatorMain()); }

// What it locks and sets, it leaves with the subtransaction.
void RunBatch(const PositionSnapshot& next) {
  InRolledBackSubtransaction(
      [&] {
        AcceptInvalidationMessages();
        PushActiveSnapshot(next.snapshot);
        PopActiveSnapshot();
      },
      [](ErrorData* error) { ReThrowError(error); });
}

// How far the next batch is to go; in a test half the way, so that there is much to hide.
XLogRecPtr Goal(XLogRecPtr newest) {
  return GoesHalfWay() ? newest - (newest - HeldSnapshot().position) / 2 : newest;
}

enum class Progress : uint8_t {
  kBlocked,  // what comes next is not visible yet
  kPart,     // and there is more
  kAll,
};

// From S1 to the next one.
Progress Advance() {
  const PlainSnapshot plain = TakePlainSnapshot();
  ReadCommitHistory(plain.taken_by);
  const std::optional<PositionSnapshot> next =
      SnapshotAtPosition(plain, HeldSnapshot(), CommitHistory(), Goal(plain.taken_by));
  Release(plain);
  if (!next) return Progress::kBlocked;
  RunBatch(*next);
  HoldNext(*next);
  ForgetCommitHistory(next->position);
  PublishPosition(next->position);
  ConditionVariableBroadcast(&MyConsumer()->progress);
  return next->position == plain.taken_by ? Progress::kAll : Progress::kPart;
}

void Loop() {
  TimestampTz last_turn = 0;
  for (;;) {
    HeadOfLoop();
    if (ShouldStop()) StopAsAsked();
    KeepPace(&last_turn, kTurnPaceUs);
    if (TransactionIsDue()) {
      ChangeTransaction();
      MyConsumer()->memory_bytes.Store(MemoryContextMemAllocated(TopMemoryContext, true));
    }
    LIVE_QUERIES_FAULT("evaluator-turn");
    const bool all = EndOfLog() == HeldSnapshot().position || Advance() == Progress::kAll;
    Sleep(all ? kSafetyNetMs : kVisibilityPollMs);
  }
}

// What committed from the history's beginning on is in it, what committed before is in the first
// snapshot.
void FindStart() {
  const XLogRecPtr begin = EndOfLog();
  OpenCommitHistory(begin);
  HoldFirst(TakeFirstSnapshot(begin));
  while (Advance() == Progress::kBlocked) {
    HeadOfLoop();
    if (ShouldStop()) StopAsAsked();
    Sleep(kVisibilityPollMs);
  }
}

void RequireHeldRows() {
  if (!SnapshotsGrowTooOld()) return;
  ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
          errmsg("live_queries cannot compare two states of the database while "
                 "old_snapshot_threshold is set"),
          errhint("Set old_snapshot_threshold to -1 and restart the server."));
}

void Work() {
  ConsumerShared* consumer = MyConsumer();
  BackgroundWorkerInitializeConnectionByOid(DatabaseOfMine()->database.Load(), InvalidOid, 0);
  pgstat_report_appname("live_queries evaluator");
  pgstat_report_activity(STATE_RUNNING, "finding a start point");
  IgnoreTransactionTimeout();
  RequireHeldRows();
  Area();
  PrepareEvaluationTransaction(consumer->slot_name);
  (void)UseOldIndexesOnly(true);
  before_shmem_exit([](int, Datum) { FreePublishedSnapshot(&MyConsumer()->snapshot); }, 0);
  BeginEvaluationTransaction();
  FindStart();
  pgstat_report_activity(STATE_RUNNING, "evaluating");
  BeginToServe();
  Loop();
}

void Run(int index) {
  AcceptConsumerSignals();
  RunConsumer(index, Work);
}

}  // namespace
}  // namespace live_queries

void live_queries_evaluator_main(Datum argument) { live_queries::Run(DatumGetInt32(argument)); }
