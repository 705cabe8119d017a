// The server's statement timeout cancels an evaluation. When it has, its flag is cleared already:
// the time tells whether it was that or an expression that raised the same error. A function can
// catch the cancel, so a second timeout ends the process. Process: decoder.
#include "template/evaluation_clock.hpp"

#include <algorithm>
#include <csignal>

#include "pg/hash_table.hpp"
#include "pg/settings.hpp"

extern "C" {
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/timeout.h"
}

namespace live_queries {
namespace {

// What a cancelled evaluation has at least, on a busy machine, to end.
constexpr int kShortestGraceMs = 3000;
// What a role has in a turn: one of its queries that is ended for its time leaves as much to the
// others.
constexpr double kTimeoutsOfRole = 2;
// Beyond this, time counts: a turn with many rows takes long without anybody's fault.
constexpr int64 kFreeUsPerRow = 100;

struct RoleTime {
  Oid role;     // hash key
  double used;  // in timeouts, as the setting was then
};

HTAB* times_by_role = nullptr;
bool any_used = false;  // in this turn

TimeoutId stuck_timeout = USER_TIMEOUT;
TimestampTz started = 0;
TimestampTz paused_at = 0;
int timeout_ms = 0;  // the setting when the last evaluation was started; 0: none
int limit_ms = 0;    // of that evaluation; 0: none
bool limited_by_role = false;
RoleTime* running = nullptr;  // whose evaluation is running
int64 free_us = 0;
volatile sig_atomic_t stuck = false;
volatile sig_atomic_t asked = false;

template <class... Info>  // which the server's handlers get since 19
void OnTerminate(int signal, Info... info) {
  asked = true;
  die(signal, info...);
}

// As die() does, in a signal handler.
void OnStuck() {
  stuck = true;
  ProcDiePending = true;
  InterruptPending = true;
  SetLatch(MyLatch);
}

// It has ended after all, and the process need not.
void ForgetStuck() {
  if (!stuck || asked) return;
  stuck = false;
  ProcDiePending = false;
  // It may have been asked just now.
  if (asked) ProcDiePending = true;
}

void Arm() {
  const int grace_ms = limit_ms > kShortestGraceMs ? limit_ms : kShortestGraceMs;
  const TimestampTz cancel_at = TimestampTzPlusMilliseconds(started, limit_ms);
  const EnableTimeoutParams both[] = {
      {STATEMENT_TIMEOUT, TMPARAM_AT, 0, cancel_at},
      {stuck_timeout, TMPARAM_AT, 0, TimestampTzPlusMilliseconds(cancel_at, grace_ms)}};
  enable_timeouts(both, 2);
}

void Disarm() {
  const DisableTimeoutParams both[] = {{STATEMENT_TIMEOUT, false}, {stuck_timeout, false}};
  disable_timeouts(both, 2);
  // Nothing else ever cancels anything here: see OnCancelSignal in worker/decoder.cpp.
  QueryCancelPending = false;
  ForgetStuck();
}

// What one has taken beyond its limit, because it could not be cancelled, is not the others' loss.
void Charge() {
  const int64 elapsed_us = GetCurrentTimestamp() - started;
  if (limited_by_role && elapsed_us >= limit_ms * int64{1000})
    running->used = kTimeoutsOfRole;
  else if (elapsed_us > free_us)
    running->used +=
        std::min(static_cast<double>(elapsed_us - free_us) / (timeout_ms * 1000.0), 1.0);
  any_used = any_used || running->used > 0;
}

}  // namespace

void PrepareEvaluationClock(MemoryContext context) {
  times_by_role = MakeHashTable("live_queries time of roles", &RoleTime::role, 16, context);
  stuck_timeout = RegisterTimeout(USER_TIMEOUT, OnStuck);
  pqsignal(SIGTERM, OnTerminate);
}

void BeginTurn() {
  if (!any_used) return;
  any_used = false;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, times_by_role);
  while (auto* time = static_cast<RoleTime*>(hash_seq_search(&scan))) time->used = 0;
}

bool RoleIsSpent(Oid role) {
  if (!any_used || evaluation_timeout_ms == 0) return false;
  const auto* time = static_cast<RoleTime*>(hash_search(times_by_role, &role, HASH_FIND, nullptr));
  return time != nullptr && time->used >= kTimeoutsOfRole;
}

void StartEvaluationClock(Oid role, int rows) {
  limit_ms = timeout_ms = evaluation_timeout_ms;
  if (limit_ms == 0) return;
  bool found;
  running = static_cast<RoleTime*>(hash_search(times_by_role, &role, HASH_ENTER, &found));
  if (!found) running->used = 0;
  free_us = rows * kFreeUsPerRow;
  const double left = (kTimeoutsOfRole - running->used) * timeout_ms + free_us / 1000.0;
  limited_by_role = left < limit_ms;
  if (limited_by_role) limit_ms = static_cast<int>(left) + 1;
  started = GetCurrentTimestamp();
  Arm();
}

void PauseEvaluationClock() {
  if (limit_ms == 0) return;
  paused_at = GetCurrentTimestamp();
  Disarm();
}

void ResumeEvaluationClock() {
  if (limit_ms == 0) return;
  started += GetCurrentTimestamp() - paused_at;
  Arm();
}

TimestampTz EvaluationStart() { return started; }

void CheckEvaluationClock() {
  if (limit_ms == 0 || get_timeout_active(STATEMENT_TIMEOUT)) return;
  StopEvaluationClock();
  ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED), errmsg("%s", kEvaluationTimeoutReason));
}

void StopEvaluationClock() {
  if (limit_ms == 0) return;
  Disarm();
  if (running != nullptr) Charge();
  running = nullptr;
}

bool EvaluationTimedOut() {
  return limit_ms > 0 && TimestampDifferenceExceeds(started, GetCurrentTimestamp(), limit_ms - 1);
}

bool RoleTimedOut() { return limited_by_role && EvaluationTimedOut(); }

bool WasAskedToEnd() { return asked; }

}  // namespace live_queries
