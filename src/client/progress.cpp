// A snapshot is taken, with the log's end behind it: all that it sees was logged before. Once every
// consumer of this connection has published that position, and what they have put is told, the
// snapshot is what the message says. What an evaluator keeps live shows the end of a batch then,
// and nothing in the midst of it: so that is what the message says, also if the batch told nothing.
// Between two of them nothing is done but, if something was logged, to wait for the interval.
// Process: client backend.
#include "client/progress.hpp"

#include "client/session.hpp"
#include "deliver/pipe.hpp"
#include "model/message.hpp"
#include "pg/log_end.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "registry/position.hpp"

extern "C" {
#include "commands/async.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
}

namespace live_queries {
namespace {

struct Stand {
  XLogRecPtr position;  // invalid: none
  char* snapshot;       // in the text form of pg_snapshot, in TopMemoryContext
  XLogRecPtr shown;     // once it is reached: the end of the batch that has it, or invalid
};

Stand next = {};  // to be told once it is reached
Stand told = {};  // the last one
TimestampTz told_at = 0;
bool arranged = false;  // that this backend is called again in time

bool IsAskedFor() { return progress_interval_ms > 0 && AnyLocal(); }

int64 UntilDue() {
  const int64 elapsed = TimestampDifferenceMilliseconds(told_at, GetCurrentTimestamp());
  return elapsed < progress_interval_ms ? progress_interval_ms - elapsed : 0;
}

// Whether `consumer` has passed `position`. One that has ended is no bound, but what it had not put
// is lost, and its live queries are told that before anything is said about them.
bool HasPassed(const ConsumerShared& consumer, XLogRecPtr position, bool is_bound) {
  if (consumer.position.Load() >= position) return true;
  if (is_bound) return false;
  NoteEnded(consumer.index);
  return true;
}

// Whether a consumer of this connection has still to pass `position`. It wakes this backend then.
bool Await(XLogRecPtr position) {
  bool waits = false;
  const ConnectionShared* mine = MyConnectionIfAny();
  if (mine == nullptr) return false;
  ForEachConsumer(*mine, [&](ConsumerShared* consumer) {
    const bool is_bound = AwaitPosition(consumer, position);
    if (!HasPassed(*consumer, position, is_bound)) waits = true;
  });
  return waits;
}

// To be called once it is reached, and before what was put is taken.
void NoteShown(Stand* stand) {
  const ConnectionShared* mine = MyConnectionIfAny();
  if (mine == nullptr) return;
  // Of those that evaluate, the first one is who may be behind.
  bool found = false;
  ForEachConsumer(*mine, [&](const ConsumerShared* consumer) {
    if (found || consumer->kind == ConsumerKind::kDecoder ||
        consumer->state.Load() != ConsumerState::kRunning)
      return;
    stand->shown = consumer->position.Load();
    found = true;
  });
  // What was put before is to be found after this.
  pg_memory_barrier();
}

char* LatestSnapshot() {
  PushActiveSnapshot(GetLatestSnapshot());
  const Datum snapshot = OidFunctionCall0(F_PG_CURRENT_SNAPSHOT);
  char* text = OidOutputFunctionCall(F_PG_SNAPSHOT_OUT, snapshot);
  PopActiveSnapshot();
  return text;
}

// Nothing has begun or ended since what was told last.
bool IsTold(const char* snapshot) {
  return told.snapshot != nullptr && strcmp(told.snapshot, snapshot) == 0;
}

// Takes the next stand, if one is due and differs; false if not.
bool TakeNext() {
  if (UntilDue() > 0) return false;
  const char* snapshot = LatestSnapshot();
  if (IsTold(snapshot)) return false;
  next.snapshot = MemoryContextStrdup(TopMemoryContext, snapshot);
  next.position = LogEnd();
  // As for a commit that is not flushed: it is flushed by who reads the log.
  FindDatabase(MyDatabaseId)->commit_lsn.Raise(next.position);
  return true;
}

bool HasNext() { return !XLogRecPtrIsInvalid(next.position); }

void OnTimer() { HandleNotifyInterrupt(); }

void WakeUpIn(int64 ms) {
  static bool registered = false;
  static TimeoutId timer;
  if (!registered) timer = RegisterTimeout(USER_TIMEOUT, OnTimer);
  registered = true;
  enable_timeout_after(timer, static_cast<int>(ms));
}

// Sees to it that this backend is called again in time. True if what is next has been reached.
bool ArrangeNext() {
  if (!HasNext() && !TakeNext()) {
    const int64 left = UntilDue();
    // Until the log goes on, there is nothing to tell.
    if (left == 0 && Await(told.position + 1)) return false;
    if (IsListening()) WakeUpIn(left > 0 ? left : progress_interval_ms);
    return false;
  }
  if (Await(next.position)) return false;
  NoteShown(&next);
  return true;
}

void NotifyProgress() {
  const std::string_view text = TakeProgress(&notify_pipe.point);
  NotifyMyFrontEnd(MyConnectionIfAny()->channel, text.data(), MyProcPid);
}

}  // namespace

bool ProgressIsReached() {
  if (!IsAskedFor() || !HasNext()) return false;
  bool reached = true;
  const ConnectionShared* mine = MyConnectionIfAny();
  if (mine == nullptr) return false;
  ForEachConsumer(*mine, [&](const ConsumerShared* consumer) {
    const bool is_bound = consumer->state.Load() == ConsumerState::kRunning;
    if (!HasPassed(*consumer, next.position, is_bound)) reached = false;
  });
  if (reached) NoteShown(&next);
  return reached;
}

std::string_view TakeProgress(Point* point) {
  // What was held till now, and is older, is told as a part of this.
  point->Reach(SeqId{next.position});
  point->Reach(SeqId{next.shown});
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  WriteProgress(sink, point->last(), next.snapshot);
  if (told.snapshot != nullptr) pfree(told.snapshot);
  told = next;
  next = {};
  told_at = GetCurrentTimestamp();
  return View(text);
}

int64 SleepForProgress(int64 most) {
  if (!IsAskedFor() || IsListening()) return most;
  if (ArrangeNext()) return 0;
  if (HasNext()) return most;
  const int64 left = UntilDue();
  return left > 0 && left < most ? left : most;
}

bool ProgressWaitsForNothing(bool aborted) {
  arranged = arranged && !aborted;
  return IsAskedFor() && IsListening() && !arranged;
}

void DeliverAndNotifyProgress() {
  arranged = false;
  if (!IsAskedFor() || !IsListening()) return Deliver();
  bool reached = ProgressIsReached();
  Deliver();
  for (;;) {
    if (reached) NotifyProgress();
    if (!ArrangeNext()) break;
    Deliver();
    reached = true;
  }
  arranged = true;
}

}  // namespace live_queries
