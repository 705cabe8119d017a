// The evaluator's life and its loop: from S1, which its subscribers have, to S2, the newest
// position that a snapshot can stand at, or in a refresher what its leader has; what has changed in
// between is a batch. Process: evaluator, refresher.
#include "worker/evaluator.hpp"

#include <algorithm>

#include "deliver/outbox.hpp"
#include "evaluate/clock_templates.hpp"
#include "evaluate/evaluation_transaction.hpp"
#include "evaluate/kept_plan.hpp"
#include "evaluate/old_indexes.hpp"
#include "evaluate/pending_transactions.hpp"
#include "evaluate/position_snapshot.hpp"
#include "model/turn_pace.hpp"
#include "model/work_share.hpp"
#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/log_end.hpp"
#include "pg/session_identity.hpp"
#include "pg/settings.hpp"
#include "pg/subtransaction.hpp"
#include "registry/consumer.hpp"
#include "registry/database.hpp"
#include "registry/position.hpp"
#include "registry/shared_memory.hpp"
#include "subscribers/attaching.hpp"
#include "subscribers/mirror.hpp"
#include "subscribers/registry_sync.hpp"
#include "template/guard.hpp"
#include "template/template_table.hpp"
#include "template/unchecked.hpp"
#include "worker/blame.hpp"
#include "worker/consumer_process.hpp"
#include "worker/evaluator_batch.hpp"
#include "worker/leader.hpp"
#include "worker/worker_process.hpp"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
}

namespace live_queries {
namespace {

// Also how old S1 may become where nothing happens: it keeps dead rows from being removed.
constexpr long kSafetyNetMs = 1000;
constexpr long kVisibilityPollMs = 1;  // a commit becomes visible without a sign
constexpr long kLeaderPollMs = 10;     // at the start: its snapshot may be away for a moment
constexpr int kOthersFlushUs = 2000;   // so long others may take to flush what it waits for

// Of the turn.
MemoryContext turn_context = nullptr;

// Where the dirty log has a gap: S1 is held, but S2 cannot be made from that, since it is not known
// what has committed in between. It is made from a snapshot that was taken after the gap, as the
// first one of all is. A refresher is in the gap until its leader's snapshot is behind it.
struct Gap {
  bool open;
  XLogRecPtr end;          // what committed up to here may be in it
  EndingCommits before;    // and had not ended when it was noticed
  PositionSnapshot first;  // none yet: no snapshot
};

Gap gap = {};

// S1 is what TakeFirstSnapshot gave: exact at no position, and not published.
bool holds_first = false;

// What batches may take of the processors while writers are at work.
WorkShare work_share;

// How far this turn is from the one before, at least.
int64 turn_pace_us = TurnPace::kLeastUs;

void Sleep(long timeout_ms) { SleepUntilWoken(timeout_ms, WaitEventEvaluatorMain()); }

// The end of an idle evaluator, or whatever else has to be heeded while it waits.
void Heed() {
  HeadOfLoop();
  if (!ShouldStop()) return;
  LIVE_QUERIES_FAULT("evaluator-stop");
  StopAsAsked();
}

// What the decoders have put is in the mailboxes up to here.
XLogRecPtr StreamedPosition() {
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < kFirstEvaluator; ++i) {
    const ConsumerShared& decoder = DatabaseOfMine()->consumers[i];
    if (decoder.state.Load() == ConsumerState::kRunning)
      least = std::min(least, decoder.position.Load());
  }
  return least;
}

// How far the next batch can go: not beyond the streams, so that where connections merge the two,
// the end of a batch is the bound (deliver/README.md).
XLogRecPtr Goal(XLogRecPtr newest) { return std::min(newest, StreamedPosition()); }

// How far before its goal the next batch is to end. In a test half the way, so that there is much
// to hide.
uint64 ShortOf(XLogRecPtr goal) {
  if (!GoesHalfWay() || goal < HeldSnapshot().position) return 0;
  return (goal - HeldSnapshot().position) / 2;
}

// ----- gaps -----

void ReleaseFirst() {
  if (gap.first.snapshot != nullptr) Release(gap.first);
  gap.first = {};
}

void OpenGap() {
  LIVE_QUERIES_FAULT("evaluator-gap");
  ReleaseFirst();
  Forget(&gap.before);
  gap = {true, LogEnd(), ListEndingCommits(), {}};
  if (MyConsumer()->state.Load() == ConsumerState::kRunning) MyConsumer()->lapses.Add(1);
}

void CloseGap() {
  ReleaseFirst();
  Forget(&gap.before);
  gap = {};
}

// What the next snapshot is made from.
const PositionSnapshot& Previous() {
  if (!gap.open) return HeldSnapshot();
  if (gap.first.snapshot == nullptr) gap.first = TakeFirstSnapshot();
  return gap.first;
}

// ----- a turn -----

enum class Progress : uint8_t {
  kBlocked,  // what comes next is not visible or not decoded yet
  kFollows,  // its leader comes first
  kRests,    // it has worked for its share of the time
  kPart,     // and there is more
  kAll,
};

// Waits until the log is flushed up to there, by others if they do soon: where commits come one
// upon the other, a flush of ours would only split the groups in which writers wait for theirs.
void AwaitFlush(XLogRecPtr position) {
  const bool others_do = turn_pace_us > TurnPace::kLeastUs;
  constexpr int kStepUs = 200;
  for (int us = 0; others_do && us < kOthersFlushUs && GetFlushRecPtr(nullptr) < position;
       us += kStepUs)
    pg_usleep(kStepUs);
  if (GetFlushRecPtr(nullptr) < position) XLogFlush(position);
}

// Waits until the dirty log is complete up to there. False if there is something else to do before.
bool AwaitPending(XLogRecPtr position) {
  AwaitFlush(position);
  if (PendingReaches(position)) return true;
  do {
    if (TransactionIsDue()) return false;
    Sleep(kSafetyNetMs);
    Heed();
  } while (!PendingReaches(position));
  // What has woken it may be for the next turn.
  SetLatch(MyLatch);
  return true;
}

// Who has read a first result tells by its position and time what he has. So if the clock was set
// back, that is heeded with the next position.
void KeepClockFromGoingBack(PositionSnapshot* next) {
  const PositionSnapshot& held = HeldSnapshot();
  if (next->position == held.position) next->clock = std::max(next->clock, held.clock);
}

// Nothing: it cannot be made yet.
std::optional<PositionSnapshot> NextSnapshot(const PlainSnapshot& plain,
                                             const PositionSnapshot& previous) {
  const XLogRecPtr goal = Goal(plain.taken_by);
  // What is too much to hide half the way would be so for ever: it goes on until it is not.
  for (uint64 short_of = ShortOf(goal);; short_of /= 2) {
    std::optional<PositionSnapshot> next =
        SnapshotAtPosition(plain, previous, PendingCommits(), goal - short_of);
    if (next || short_of == 0) return next;
  }
}

// From S1 to S2.
void MoveTo(const PositionSnapshot& next) {
  const int64 worked_us = RunBatch(HeldSnapshot(), next, gap.open);
  work_share.Worked(worked_us, GetCurrentTimestamp(), evaluator_share);
  HoldNext(next);
  holds_first = false;
  if (next.position >= gap.end) CloseGap();
  ForgetPending(next.position);
}

// To the newest position.
Progress Lead() {
  const PositionSnapshot& previous = Previous();
  const PlainSnapshot plain = TakePlainSnapshot();
  if (!AwaitPending(plain.taken_by)) {
    Release(plain);
    return Progress::kBlocked;
  }
  if (!ReadPending()) {
    Release(plain);
    OpenGap();
    return Progress::kPart;
  }
  std::optional<PositionSnapshot> next = NextSnapshot(plain, previous);
  Release(plain);
  if (!next) return Progress::kBlocked;
  KeepClockFromGoingBack(&*next);
  MoveTo(*next);
  return next->position == plain.taken_by ? Progress::kAll : Progress::kPart;
}

// The first moment that S2 may be of.
PublishedMoment NextMoment() {
  const PositionSnapshot& held = HeldSnapshot();
  if (holds_first) return {held.position, 0};
  return std::max(PublishedMoment{held.position, held.clock + 1}, PublishedMoment{gap.end, 0});
}

// To where the leader is.
Progress Follow() {
  const PublishedMoment at_least = NextMoment();
  const std::optional<PositionSnapshot> next = TakeFromLeader(at_least);
  if (!next) {
    if (!holds_first) RequireLeader();
    // For moments it publishes nothing.
    return LeaderHasPassed(at_least.position) ? Progress::kBlocked : Progress::kFollows;
  }
  if (!AwaitPending(next->position)) {
    Release(*next);
    return Progress::kBlocked;
  }
  if (!ReadPending()) {
    Release(*next);
    OpenGap();
    return Progress::kPart;
  }
  MoveTo(*next);
  return Progress::kAll;
}

Progress Advance() {
  if (gap.open && !HaveEnded(&gap.before)) return Progress::kBlocked;
  const bool follows = FollowsLeader() && !LIVE_QUERIES_MUTATION("refresher_leads");
  return follows ? Follow() : Lead();
}

// Not if somebody waits for S1 to move.
bool Rests() {
  return !gap.open && !AttachmentsWait() &&
         work_share.RestUs(GetCurrentTimestamp(), evaluator_share) > 0;
}

// A first result that asks the clock is read at the time of S1, which may be long ago.
bool TimeIsAwaited() { return AttachmentsWait() && TemplatesOn(Subject::kClock, 0) != NIL; }

// What happens while it rests, and what the clock does, belongs to one batch.
Progress AdvanceIfNeeded() {
  if (Rests()) return Progress::kRests;
  const PositionSnapshot& held = HeldSnapshot();
  const bool logged = LogEnd() != held.position || gap.open;
  const bool followed = FollowsLeader() && LeaderHasNewer(held);
  if (!logged && !followed && !TimeIsAwaited() && UntilClockMoves(held.clock) > 0)
    return Progress::kAll;
  return Advance();
}

void ChangeTransactionIfDue() {
  if (!TransactionIsDue()) return;
  ReleaseFirst();
  ChangeTransaction();
  MyConsumer()->memory_bytes.Store(MemoryContextMemAllocated(TopMemoryContext, true));
  ForgetEndedConnections();
}

void Sync(bool everything) {
  if (!everything && !RegistryHasChanged()) return;
  InRolledBackSubtransaction([&] { SyncRegistry(everything); },
                             [](ErrorData* error) { ReThrowError(error); });
}

// In milliseconds, if nothing wakes it before.
long UntilNextTurn(Progress progress) {
  if (progress == Progress::kBlocked || AttachmentsWait()) return kVisibilityPollMs;
  if (progress == Progress::kFollows) return kSafetyNetMs;
  if (progress == Progress::kRests)
    return static_cast<long>(work_share.RestUs(GetCurrentTimestamp(), evaluator_share) / 1000 + 1);
  return std::min(kSafetyNetMs, UntilClockMoves(HeldSnapshot().clock));
}

void Loop() {
  TimestampTz last_turn = 0;
  TurnPace pace;
  for (;;) {
    Heed();
    turn_pace_us = pace.Next(MyConsumer()->transactions.Load(), GetCurrentTimestamp());
    KeepPace(&last_turn, turn_pace_us);
    MemoryContextReset(turn_context);
    MemoryContextSwitchTo(turn_context);
    ChangeTransactionIfDue();
    LIVE_QUERIES_FAULT("evaluator-turn");
    Sync(false);
    const Progress progress = AdvanceIfNeeded();
    // What it has not been told of yet concerns those who attach.
    AcceptInvalidationMessages();
    if (AttachmentsAwaitCheck(HeldSnapshot().position)) CheckWithoutBatch();
    FinishAttachments(HeldSnapshot().position);
    // A change of a catalog is not handled before those whom it concerns are told. Nor is anything
    // before those are reset who belong to an evaluator that has ended: not while a start is found.
    CheckWithoutBatch();
    PublishPosition(HeldSnapshot().position);
    WakeFollower(HeldSnapshot().position);
    ConditionVariableBroadcast(&MyConsumer()->progress);
    if (progress != Progress::kPart) Sleep(UntilNextTurn(progress));
  }
}

// ----- the start -----

// What committed from the beginning of what is pending on is in there, what committed before is in
// the first snapshot; a refresher goes on from that to the first of its leader's behind it.
void FindStart() {
  OpenPending(DatabaseOfMine(), MyConsumer()->index);
  for (EndingCommits before = ListEndingCommits(); !HaveEnded(&before);) {
    Heed();
    Sleep(kVisibilityPollMs);
  }
  HoldFirst(TakeFirstSnapshot());
  holds_first = true;
  for (;;) {
    // This first: it forgets what has woken this process.
    Heed();
    if (TransactionIsDue()) {
      ReleaseFirst();
      ChangeTransaction();
    }
    const Progress progress = Advance();
    if (!holds_first && !gap.open) break;
    Sleep(progress == Progress::kFollows ? kLeaderPollMs : kVisibilityPollMs);
  }
}

void RequireHeldRows() {
  if (!SnapshotsGrowTooOld()) return;
  ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
          errmsg("live_queries cannot compare two states of the database while "
                 "old_snapshot_threshold is set"),
          errhint("Set old_snapshot_threshold to -1 and restart the server."));
}

void Prepare() {
  PrepareSessionIdentity();
  PrepareGuard(TopMemoryContext);
  PrepareTemplates(TopMemoryContext);
  PrepareUnchecked(/* decodes */ false);
  PrepareKeptPlans();
  PrepareMirrors(TopMemoryContext);
  PrepareOutboxes(TopMemoryContext);
  PrepareBatches(TopMemoryContext);
  turn_context =
      AllocSetContextCreate(TopMemoryContext, "live_queries turn", ALLOCSET_DEFAULT_SIZES);
}

void Work() {
  LIVE_QUERIES_FAULT("evaluator-placed");
  // After the transaction is aborted, before dynamic shared memory is detached.
  before_shmem_exit([](int, Datum) { BlameForEnd(); }, 0);
  BackgroundWorkerInitializeConnectionByOid(DatabaseOfMine()->database.Load(), InvalidOid, 0);
  pgstat_report_appname(MyBgworkerEntry->bgw_type);
  pgstat_report_activity(STATE_RUNNING, "finding a start point");
  IgnoreTransactionTimeout();
  RequireHeldRows();
  Prepare();
  Area();
  LIVE_QUERIES_FAULT("evaluator-open");
  PrepareEvaluationTransaction(MyConsumer()->slot_name);
  (void)UseOldIndexesOnly(true);
  before_shmem_exit([](int, Datum) { FreePublishedSnapshot(&MyConsumer()->snapshot); }, 0);
  BeginEvaluationTransaction();
  FindStart();
  pgstat_report_activity(STATE_RUNNING, "evaluating");
  LIVE_QUERIES_FAULT("evaluator-opened");
  MemoryContextSwitchTo(turn_context);
  Sync(true);
  BeginToServe();
  Loop();
}

void Run(int index) {
  AcceptConsumerSignals();
  LIVE_QUERIES_FAULT("evaluator-start");
  RunConsumer(index, Work);
}

}  // namespace
}  // namespace live_queries

void live_queries_evaluator_main(Datum argument) { live_queries::Run(DatumGetInt32(argument)); }
