// Puts the parts together. What BlamingRoute and its like do stands around each single row, so it
// reads the clock only where another route's turn comes. Process: decoder.
#include "template/guard.hpp"

#include "query/settings_capture.hpp"
#include "template/evaluation_clock.hpp"
#include "template/no_trace.hpp"

extern "C" {
#include "miscadmin.h"
}

namespace live_queries {
namespace {

Blame blame = {};

// The identity that was taken on last.
struct PresentIdentity {
  bool entered;
  bool whole_session;
  Oid role;
  SessionIdentity session;
  const char* settings;
  Identity identity;
};

PresentIdentity present = {};
bool keeping_identity = false;

// How long each route's expressions run. Where the time of a template is over, the one that runs
// may be the last straw: who took longest is to blame.
struct RouteTimes {
  uint32 measurement;
  Route* running;  // or the one that ran last
  TimestampTz since;
  Route* slowest;  // of the others
};

RouteTimes times = {};

void LeavePresentIdentity() {
  if (present.entered) LeaveIdentity(present.identity);
  present.entered = false;
}

void TakeOnIdentity(const Template& owner, bool whole_session) {
  const SessionIdentity session = whole_session ? owner.session : SessionIdentity{};
  if (present.entered && present.whole_session == whole_session && present.role == owner.role &&
      present.session == session && strcmp(present.settings, owner.settings) == 0)
    return;
  LeavePresentIdentity();
  present.identity = whole_session ? EnterIdentity(session, owner.role, owner.settings)
                                   : EnterIdentity(owner.role, owner.settings);
  present.whole_session = whole_session;
  present.role = owner.role;
  present.session = session;
  present.settings = owner.settings;
  present.entered = true;
}

void StartTime(Oid role, Route* route, int rows) {
  StartEvaluationClock(role, rows);
  times = {times.measurement + 1, route, EvaluationStart(), nullptr};
}

void Charge(Route* route, int64 elapsed_us) {
  if (route->measurement != times.measurement) route->evaluated_us = 0;
  route->measurement = times.measurement;
  route->evaluated_us += elapsed_us;
  if (times.slowest == nullptr || route->evaluated_us > times.slowest->evaluated_us)
    times.slowest = route;
}

// The first one's time began with the clock.
void MeasureFrom(Route* route) {
  if (route == times.running) return;
  if (times.running != nullptr) {
    const TimestampTz now = GetCurrentTimestamp();
    Charge(times.running, now - times.since);
    times.since = now;
  }
  times.running = route;
}

Route* SlowestRoute() {
  MeasureFrom(nullptr);
  return times.slowest;
}

const char* ReasonToTell(const Blame& blamed, const char* message, bool timed_out) {
  if (timed_out) return kEvaluationTimeoutReason;
  if (blamed.doing == Doing::kRouting)
    return "looking up the subscriptions of a changed row has failed";
  return message;
}

}  // namespace

void PrepareGuard(MemoryContext context) {
  PrepareEvaluationClock(context);
  PrepareNoTrace();
}

namespace internal {

void EnterGuard(Template* owner, Route* route, int rows, bool whole_session) {
  // What it needs may be gone, such as the value of a setting.
  blame = {owner, route, Doing::kEvaluating};
  TakeOnIdentity(*owner, whole_session);
  StartTime(owner->role, route, rows);
}

void LeaveGuard() {
  const bool code_of_users = present.whole_session;
  if (code_of_users) RequireNoTrace();
  StopEvaluationClock();
  blame = {};
  // What functions have set would stay.
  if (code_of_users || !keeping_identity) LeavePresentIdentity();
}

void StartKeepingIdentity() { keeping_identity = true; }

void StopKeepingIdentity() {
  keeping_identity = false;
  LeavePresentIdentity();
}

void BlameRoute(Route* route) {
  blame.route = route;
  MeasureFrom(route);
}

void EndBlamingRoute() {
  CheckEvaluationClock();
  CHECK_FOR_INTERRUPTS();
  blame.route = nullptr;
}

Doing SwitchDoing(Doing doing) {
  const Doing outer = blame.doing;
  blame.doing = doing;
  return outer;
}

Blame PauseGuard() {
  const Blame paused = blame;
  if (paused.owner == nullptr) return paused;
  MeasureFrom(nullptr);
  blame = {};
  PauseEvaluationClock();
  return paused;
}

void ResumeGuard(const Blame& paused) {
  if (paused.owner == nullptr) return;
  ResumeEvaluationClock();
  times.since = GetCurrentTimestamp();
  blame = paused;
}

}  // namespace internal

void ContinueAnalysis(Route* route, int rows) {
  blame.route = route;
  StopEvaluationClock();
  StartTime(route->owner->role, route, rows);
}

GuardFailure AbandonGuard(const ErrorData& error) {
  GuardFailure failure = {blame, error.sqlerrcode, error.message, false, false};
  // A function of the subscriber's can have raised that error as well.
  failure.timed_out =
      blame.owner != nullptr && error.sqlerrcode == ERRCODE_QUERY_CANCELED && EvaluationTimedOut();
  failure.role_timed_out = failure.timed_out && RoleTimedOut();
  if (failure.timed_out && SlowestRoute() != nullptr) failure.blame.route = SlowestRoute();
  failure.reason = ReasonToTell(failure.blame, error.message, failure.timed_out);
  StopEvaluationClock();
  blame = {};
  present = {};
  keeping_identity = false;
  return failure;
}

GuardFailure FailureAtExit() {
  if (WasAskedToEnd()) return {};
  const bool timed_out = EvaluationTimedOut();
  return {blame, timed_out ? ERRCODE_QUERY_CANCELED : ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
          timed_out ? kEvaluationTimeoutReason : "evaluating the query has ended the decoder",
          timed_out, false};
}

}  // namespace live_queries
