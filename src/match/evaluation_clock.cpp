// The server's statement timeout cancels an evaluation. When it has, its flag is cleared already:
// the time tells whether it was that or an expression that raised the same error. A function can
// catch the cancel, so a second timeout ends the process. Process: decoder.
#include "match/evaluation_clock.hpp"

#include <csignal>

#include "registry/settings.hpp"

extern "C" {
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/timeout.h"
}

namespace live_queries {
namespace {

// What a cancelled evaluation has at least, on a busy machine, to end.
constexpr int kShortestGraceMs = 3000;

TimeoutId stuck_timeout = USER_TIMEOUT;
TimestampTz started = 0;
TimestampTz paused_at = 0;
int limit_ms = 0;  // of the evaluation that was started last; 0: none
volatile sig_atomic_t stuck = false;
volatile sig_atomic_t asked = false;

void OnTerminate(int signal) {
  asked = true;
  die(signal);
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

}  // namespace

void PrepareEvaluationClock() {
  stuck_timeout = RegisterTimeout(USER_TIMEOUT, OnStuck);
  pqsignal(SIGTERM, OnTerminate);
}

void StartEvaluationClock() {
  limit_ms = evaluation_timeout_ms;
  if (limit_ms == 0) return;
  started = GetCurrentTimestamp();
  Arm();
}

void PauseEvaluationClock() {
  if (limit_ms == 0) return;
  paused_at = GetCurrentTimestamp();
  StopEvaluationClock();
}

void ResumeEvaluationClock() {
  if (limit_ms == 0) return;
  started += GetCurrentTimestamp() - paused_at;
  Arm();
}

void CheckEvaluationClock() {
  if (limit_ms == 0 || get_timeout_active(STATEMENT_TIMEOUT)) return;
  StopEvaluationClock();
  ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED), errmsg("%s", kEvaluationTimeoutReason));
}

void StopEvaluationClock() {
  if (limit_ms == 0) return;
  const DisableTimeoutParams both[] = {{STATEMENT_TIMEOUT, false}, {stuck_timeout, false}};
  disable_timeouts(both, 2);
  // Nothing else ever cancels anything here: see OnCancelSignal in worker/decoder.cpp.
  QueryCancelPending = false;
  ForgetStuck();
}

bool EvaluationTimedOut() {
  return limit_ms > 0 && TimestampDifferenceExceeds(started, GetCurrentTimestamp(), limit_ms - 1);
}

bool WasAskedToEnd() { return asked; }

}  // namespace live_queries
