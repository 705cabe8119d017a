// live.poll and live.wait_for. Process: client backend.
#include <algorithm>

#include "client/consumer_wait.hpp"
#include "client/progress.hpp"
#include "client/session.hpp"
#include "deliver/throttle.hpp"
#include "pg/compat.hpp"
#include "registry/shared_memory.hpp"
#include "sql_api/arguments.hpp"

extern "C" {
#include "storage/latch.h"
#include "utils/pg_lsn.h"
}

extern "C" {
LIVE_QUERIES_FUNCTION(live_queries_poll);
LIVE_QUERIES_FUNCTION(live_queries_wait_for);
}

namespace live_queries {
namespace {

constexpr int64 kWaitForDefaultMs = 10 * 1000;

int64 LimitArgument(FunctionCallInfo call, int index) {
  if (call->args[index].isnull) return -1;
  const int32 limit = DatumGetInt32(call->args[index].value);
  if (limit < 0)
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("max_messages must not be negative"));
  return limit;
}

// What a live.poll has found.
struct Found {
  bool message;   // one is to be read with NextMessage
  bool progress;  // behind the messages there is one of progress
};

// Waits until there is something to poll, or the time is up. `message` is the first one, if any.
Found WaitForFirst(PolledMessage* message, int64 timeout_ms) {
  const TimestampTz start = GetCurrentTimestamp();
  for (;;) {
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    const bool progress = ProgressIsReached();
    Deliver();
    BeginPolling();
    if (NextMessage(message)) return {true, progress};
    if (progress) return {false, true};
    const int64 left = timeout_ms - TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
    if (left <= 0) return {};
    constexpr int64 kLongestMs = 60 * 1000;
    const int64 due = UntilGatheredIsDue(Delivery::kPoll);
    const int64 most = std::min(left, due < 0 ? kLongestMs : std::clamp<int64>(due, 1, kLongestMs));
    const int64 sleep = SleepForProgress(most);
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                    static_cast<long>(sleep), WaitEventPoll());
  }
}

void AddRow(ResultRows* rows, SeqId seq, std::string_view id, std::string_view message) {
  char digits[kSeqIdDigits];
  const Datum values[3] = {TextDatum(FormatSeqId(seq, digits)), TextDatum(id), TextDatum(message)};
  const bool nulls[3] = {false, id.empty(), false};
  rows->Add(values, nulls);
}

Datum PollCall(FunctionCallInfo call) {
  RequireSharedMemory();
  const int64 limit = LimitArgument(call, 0);
  const int64 timeout_ms = IntervalArgument(call, 1, 0);
  ResultRows rows(call);
  PolledMessage message;
  if (limit == 0) return static_cast<Datum>(0);
  const Found found = WaitForFirst(&message, timeout_ms);
  int64 count = 0;
  bool more = found.message;
  while (more) {
    AddRow(&rows, message.seq, message.subscription_id, message.message);
    more = ++count != limit && NextMessage(&message);
  }
  if (found.progress && count != limit) {
    Point point = PolledPoint(GetUserId());
    const std::string_view text = TakeProgress(&point);
    SetPolledPoint(GetUserId(), point);
    AddRow(&rows, point.last(), {}, text);
  }
  return static_cast<Datum>(0);
}

Datum WaitForCall(FunctionCallInfo call) {
  RequireSharedMemory();
  const XLogRecPtr lsn =
      call->args[0].isnull ? InvalidXLogRecPtr : DatumGetLSN(call->args[0].value);
  PG_RETURN_BOOL(WaitForPosition(lsn, IntervalArgument(call, 1, kWaitForDefaultMs)));
}

}  // namespace
}  // namespace live_queries

Datum live_queries_poll(PG_FUNCTION_ARGS) { return live_queries::PollCall(fcinfo); }
Datum live_queries_wait_for(PG_FUNCTION_ARGS) { return live_queries::WaitForCall(fcinfo); }
