// Puts the parts together. What BlamingRoutes and its like do stands around each single row, so it
// reads the clock only where another route's turn comes. Process: decoder.
#include "template/guard.hpp"

#include <algorithm>

#include "analyze/settings_capture.hpp"
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
bool had_xid = false;  // when what is guarded began

// How long each route's expressions run. Where the time of a template is over, the one that runs
// may be the last straw: who took longest is to blame.
uint32 measurement = 0;
RouteSet running;  // or those that ran last: Blame::routes
TimestampTz running_since = 0;
Route* slowest = nullptr;  // of those that ran before

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

void StartTime(Oid role, int rows) {
  StartEvaluationClock(role, rows);
  ++measurement;
  running_since = EvaluationStart();
  slowest = nullptr;
}

void Charge(Route* route, int64 elapsed_us) {
  if (route->measurement != measurement) route->evaluated_us = 0;
  route->measurement = measurement;
  route->evaluated_us += elapsed_us;
  if (slowest == nullptr || route->evaluated_us > slowest->evaluated_us) slowest = route;
}

// The first ones' time began with the clock.
void MeasureFrom(Routes routes) {
  if (std::ranges::equal(running.All(), routes)) return;
  if (!running.empty()) {
    const TimestampTz now = GetCurrentTimestamp();
    for (Route* route : running.All()) Charge(route, now - running_since);
    running_since = now;
  }
  running.Assign(routes);
}

Routes SlowestRoute() {
  MeasureFrom({});
  if (slowest == nullptr) return {};
  return {&slowest, 1};
}

const char* ReasonToTell(const Blame& blamed, const char* message, bool timed_out) {
  if (timed_out) return kEvaluationTimeoutReason;
  if (blamed.doing == Doing::kRouting)
    return "looking up the subscriptions of a changed row has failed";
  return message;
}

}  // namespace

void PrepareGuard(MemoryContext context) {
  running.Prepare(context);
  PrepareEvaluationClock(context);
  PrepareNoTrace();
}

namespace internal {

void EnterGuard(const Blame& blamed, int rows, bool whole_session) {
  // What it needs may be gone, such as the value of a setting.
  running.Assign(blamed.routes);
  blame = {blamed.owner, running.All(), blamed.doing};
  TakeOnIdentity(*blamed.owner, whole_session);
  had_xid = HasXid();
  StartTime(blamed.owner->role, rows);
}

void LeaveGuard() {
  const bool code_of_users = present.whole_session;
  if (code_of_users) RequireNoTrace(had_xid);
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

void BlameRoutes(Routes routes) {
  MeasureFrom(routes);
  blame.routes = running.All();
}

void EndBlamingRoutes() {
  CheckGuard();
  blame.routes = {};
}

Doing SwitchDoing(Doing doing) {
  const Doing outer = blame.doing;
  blame.doing = doing;
  return outer;
}

Blame PauseGuard() {
  const Blame paused = blame;
  if (paused.owner == nullptr) return paused;
  MeasureFrom({});
  blame = {};
  PauseEvaluationClock();
  return paused;
}

void ResumeGuard(const Blame& paused) {
  if (paused.owner == nullptr) return;
  ResumeEvaluationClock();
  running_since = GetCurrentTimestamp();
  blame = paused;
}

}  // namespace internal

void CheckGuard() {
  CheckEvaluationClock();
  CHECK_FOR_INTERRUPTS();
}

void ContinueAnalysis(Route* route, int rows) {
  StopEvaluationClock();
  running.Assign({&route, 1});
  blame.routes = running.All();
  StartTime(route->owner->role, rows);
}

bool IsLookingUp(const Blame& blamed) {
  return blamed.doing == Doing::kRouting && blamed.routes.empty() &&
         !blamed.owner->dependencies.user_code;
}

GuardFailure AbandonGuard(const ErrorData& error) {
  GuardFailure failure = {blame, error.sqlerrcode, error.message, false, false};
  // A function of the subscriber's can have raised that error as well.
  failure.timed_out =
      blame.owner != nullptr && error.sqlerrcode == ERRCODE_QUERY_CANCELED && EvaluationTimedOut();
  failure.role_timed_out = failure.timed_out && RoleTimedOut();
  const Routes slowest_route = failure.timed_out && !IsLookingUp(blame) ? SlowestRoute() : Routes();
  if (!slowest_route.empty()) failure.blame.routes = slowest_route;
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
