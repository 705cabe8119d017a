// The decoder's life: takes its place in shared memory, opens the log, and then turns in a loop of
// reading, evaluating, attaching and checking, until it is asked to go or nobody needs it. However
// it ends, its place is freed. Process: decoder.
#include "worker/decoder.hpp"

#include "decode/dirty_rows.hpp"
#include "decode/foreign_commits.hpp"
#include "decode/output_plugin.hpp"
#include "decode/ready_transactions.hpp"
#include "decode/recent_commits.hpp"
#include "decode/wal_stream.hpp"
#include "deliver/outbox.hpp"
#include "match/matcher.hpp"
#include "model/turn_pace.hpp"
#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/files.hpp"
#include "pg/session_identity.hpp"
#include "registry/connection.hpp"
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
#include "worker/evaluation.hpp"
#include "worker/worker_process.hpp"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/memutils.h"
}

namespace live_queries {
namespace {

// So many records are read before the loop looks at anything else.
constexpr int kRecordsAtOnce = 4096;
constexpr uint64 kReadyTransactions = 1000;
constexpr size_t kReadyBytes = 16 * 1024 * 1024;
constexpr long kSafetyNetMs = 1000;    // if a wake-up were ever lost
constexpr long kVisibilityPollMs = 1;  // a commit becomes visible without a sign
constexpr int kConfirmEveryMs = 1000;
constexpr int kKeepHouseEveryMs = 1000;
constexpr uint64 kConfirmEveryBytes = 16 * 1024 * 1024;

ConsumerShared* consumer = nullptr;
DatabaseShared* database = nullptr;

// Commits that are not flushed cannot be decoded; their writers do not wait for that, so we do.
// While they come one upon the other, flushes are as far apart as turns: they share the cost. One
// that comes alone waits for nothing.
void FlushAsynchronousCommits(int64 pace_us) {
  static TimestampTz last_flush = 0;
  if (database->commit_lsn.Load() <= GetFlushRecPtr(nullptr)) return;
  KeepPace(&last_flush, pace_us);
  XLogFlush(database->commit_lsn.Load());
}

// Whether a catalog has changed that the log has not reached yet. Then what the evaluation has in
// the server's caches is ahead of what is decoded, and what decoding has there is behind.
bool CatalogsAreAhead() {
  static uint64 seen = 0;
  static XLogRecPtr changed_until = InvalidXLogRecPtr;
  if (seen != SharedInvalidMessageCounter) {
    seen = SharedInvalidMessageCounter;
    changed_until = GetXLogInsertRecPtr();
  }
  return StreamPosition() < changed_until;
}

// Reads until the end of what is flushed, or until there is enough to evaluate. True at the end.
bool ReadRecords() {
  for (int i = 0; i < kRecordsAtOnce; ++i) {
    CHECK_FOR_INTERRUPTS();
    if (ReadyCount() >= kReadyTransactions || ReadyBytes() >= kReadyBytes) return false;
    BeginReplay();
    const bool found = DecodeNextRecord();
    EndReplay();
    if (!found) return true;
    NoteForeignCommit(StreamReader());
    // Decoding leaves another context behind.
    MemoryContextSwitchTo(TopMemoryContext);
  }
  return false;
}

bool ReadLog() {
  const bool ahead = CatalogsAreAhead();
  if (ahead) FlushCatalogCaches();
  // The limit is for queries: what is decoded has to wait somewhere. An error ends this process.
  const bool at_end = WithTempFileLimit(-1, ReadRecords);
  if (ahead) FlushCatalogCaches();
  return at_end;
}

void ConfirmNowAndThen() {
  static TimestampTz confirmed_at = 0;
  static XLogRecPtr confirmed = InvalidXLogRecPtr;
  const XLogRecPtr position = StreamPosition();
  if (position == confirmed) return;
  const TimestampTz now = GetCurrentTimestamp();
  if (position - confirmed < kConfirmEveryBytes &&
      !TimestampDifferenceExceeds(confirmed_at, now, kConfirmEveryMs))
    return;
  LIVE_QUERIES_FAULT("decoder-confirm");
  ConfirmPosition(position);
  confirmed = position;
  confirmed_at = now;
}

// What takes too long for every turn, and can wait.
void KeepHouseNowAndThen() {
  static TimestampTz kept_at = 0;
  const TimestampTz now = GetCurrentTimestamp();
  if (!TimestampDifferenceExceeds(kept_at, now, kKeepHouseEveryMs)) return;
  kept_at = now;
  ForgetEndedConnections();
  consumer->memory_bytes.Store(MemoryContextMemAllocated(TopMemoryContext, true));
}

// Counters, and who waits for the end of the log.
void ShareProgress() {
  const PluginCounters counters = TakePluginCounters();
  consumer->changes_decoded.Add(counters.changes_decoded);
  consumer->changes_ignored.Add(counters.changes_ignored);
  ConditionVariableBroadcast(&consumer->progress);
}

// Up to here everything is evaluated. `read`: up to here everything is read.
XLogRecPtr HandledPosition(XLogRecPtr read) {
  return FirstReadyBatch() == nullptr ? read : FirstReadyBatch()->commit_end - 1;
}

void Sleep(long timeout_ms) { SleepUntilWoken(timeout_ms, WaitEventDecoderMain()); }

void Sync(bool everything) {
  if (!everything && !RegistryHasChanged()) return;
  StartTransactionCommand();
  SyncRegistry(everything);
  if (everything) NoteCommitsBeforeStart();
  CommitTransactionCommand();
}

void Loop() {
  TimestampTz last_turn = 0;
  TurnPace pace;
  bool slept = false;
  XLogRecPtr shared_position = InvalidXLogRecPtr;
  for (;;) {
    HeadOfLoop();
    if (ShouldStop()) {
      LIVE_QUERIES_FAULT("decoder-stop");
      StopAsAsked();
    }
    const int64 pace_us = pace.Next(consumer->transactions.Load(), GetCurrentTimestamp());
    // Who subscribes waits for this turn, and is no commit.
    if (slept && !RegistryHasChanged()) KeepPace(&last_turn, pace_us);
    slept = false;
    Sync(false);
    if (consumer->index == kDecoderConsumer) SyncIdentityWatches();
    FlushAsynchronousCommits(pace_us);
    // All that committed before this is read below, even if the end is within a record.
    const XLogRecPtr flushed = GetFlushRecPtr(nullptr);
    const bool at_end = ReadLog();
    MemoryContextSwitchTo(TopMemoryContext);
    const XLogRecPtr read = at_end && flushed > StreamPosition() ? flushed : StreamPosition();
    if (consumer->index != kDecoderConsumer) LIVE_QUERIES_FAULT("second-consumer");
    const Progress progress = EvaluateReady();
    MemoryContextSwitchTo(TopMemoryContext);
    const XLogRecPtr handled = HandledPosition(read);
    // Before it is heard: what is told later is heard in another turn.
    const XLogRecPtr told = ToldUpTo(handled);
    const XLogRecPtr over = AttachmentsWait() ? OverUpTo(handled) : handled;
    // What this process has not been told of yet concerns those who attach.
    CheckDefinitions(AttachmentsWait());
    MemoryContextSwitchTo(TopMemoryContext);
    FinishAttachments(over);
    // Also while there is always more to do. What waits is in memory or in our files.
    ConfirmNowAndThen();
    KeepHouseNowAndThen();
    // A change of a catalog is not handled before those whom it concerns are reset.
    CheckDefinitions(false);
    PublishPosition(told);
    // After that: evaluators go no further than what is published.
    ShareDirtyLog(read);
    if (progress == Progress::kBlocked) Sleep(kVisibilityPollMs);
    if (progress != Progress::kNothingReady || !at_end) continue;
    if (told != shared_position) ShareProgress();
    shared_position = told;
    Sleep(told == handled && over == handled ? kSafetyNetMs : kVisibilityPollMs);
    slept = true;
  }
}

void Work() {
  LIVE_QUERIES_FAULT("decoder-placed");
  consumer = MyConsumer();
  database = DatabaseOfMine();
  // After the transaction is aborted, before dynamic shared memory is detached.
  before_shmem_exit([](int, Datum) { BlameForEnd(); }, 0);
  BackgroundWorkerInitializeConnectionByOid(database->database.Load(), InvalidOid, 0);
  pgstat_report_appname("live_queries decoder");
  pgstat_report_activity(STATE_RUNNING, "finding a start point");
  IgnoreTransactionTimeout();
  PrepareSessionIdentity();
  PrepareGuard(TopMemoryContext);
  PreparePlugin(TopMemoryContext);
  PrepareTemplates(TopMemoryContext);
  PrepareDirtyRows(TopMemoryContext, database);
  PrepareUnchecked(/* decodes */ true);
  PrepareMatcher(TopMemoryContext);
  PrepareMirrors(TopMemoryContext);
  PrepareOutboxes(TopMemoryContext);
  PrepareEvaluation(TopMemoryContext);
  Area();
  LIVE_QUERIES_FAULT("decoder-open");
  OpenWalStream(consumer->slot_name);
  pgstat_report_activity(STATE_RUNNING, "decoding");
  LIVE_QUERIES_FAULT("decoder-opened");
  Sync(true);
  BeginToServe();
  Loop();
}

void Run(int index) {
  AcceptConsumerSignals();
  LIVE_QUERIES_FAULT("decoder-start");
  RunConsumer(index, Work);
}

}  // namespace
}  // namespace live_queries

void live_queries_decoder_main(Datum argument) { live_queries::Run(DatumGetInt32(argument)); }
