// The guard: all that must hold while code of subscribers runs in a worker, whichever the strategy.
// It runs as their role, in their session and with their settings; for a limited time
// (evaluation_clock.hpp); without leaving a trace (no_trace.hpp); and whatever comes of it, an
// error, the end of its time or that of the process, it is known whose fault it is.
//
// One thing is guarded at a time. After an error, AbandonGuard. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "template/route_set.hpp"
#include "template/template.hpp"

namespace live_queries {

// What the code of subscribers is run for.
enum class Doing : uint8_t {
  kEvaluating,  // on rows of theirs, or for themselves
  kRouting,     // a row is looked up that perhaps nobody may have: an error may tell of it
  kFetching,    // a value that an update left in TOAST: if it is gone, no expression is to blame
  kCatchingUp,  // on the whole result, since what has changed is not known: it may take too long
  kAttaching,   // for one that is to join: those who share the template have no part in it
};

// Who is to blame for what runs.
struct Blame {
  Template* owner;  // nullptr: nobody, no code of users is running
  Routes routes;    // none: all of the owner's; of the guard's own memory
  Doing doing;
};

// How code of subscribers has failed. Good until something else is guarded.
struct GuardFailure {
  Blame blame;
  int sqlstate;
  const char* reason;   // for those who are to blame: it may quote rows of theirs
  bool timed_out;       // its time was over
  bool role_timed_out;  // of which others of its role had used a part: it may be innocent
};

// Prepares the guard's parts, after the server has installed its signal handlers. What is
// remembered is kept in `context`.
void PrepareGuard(MemoryContext context);

namespace internal {

void EnterGuard(const Blame& blamed, int rows, bool whole_session);
void LeaveGuard();
void StartKeepingIdentity();
void StopKeepingIdentity();
void BlameRoutes(Routes routes);
void EndBlamingRoutes();
Doing SwitchDoing(Doing doing);
Blame PauseGuard();
void ResumeGuard(const Blame& paused);

}  // namespace internal

// Runs `body`, which evaluates expressions of `owner` on so many rows; all who share it are to
// blame but where BlamingRoutes says who. In a transaction. Who the session is, nothing asks but
// code of users: without such it is not taken on, as that takes longer than many an evaluation.
template <class Body>
void Guard(Template* owner, int rows, Body&& body) {
  internal::EnterGuard({owner, {}, Doing::kEvaluating}, rows, owner->dependencies.user_code);
  body();
  internal::LeaveGuard();
}

// Runs `body`, which analyses a query of `route` or evaluates what was frozen in it, where any
// function may run; it may take as long as evaluating so many rows.
template <class Body>
void GuardAnalysis(Route* route, int rows, Body&& body) {
  internal::EnterGuard({route->owner, {&route, 1}, Doing::kEvaluating}, rows, true);
  body();
  internal::LeaveGuard();
}
// Within: from here on it is another one's, with time of its own.
void ContinueAnalysis(Route* route, int rows);

// Runs `body`, which looks for the route of one that is to join `owner`.
template <class Body>
void GuardAttaching(Template* owner, Body&& body) {
  internal::EnterGuard({owner, {}, Doing::kAttaching}, 1, owner->dependencies.user_code);
  body();
  internal::LeaveGuard();
}

// Within `body` an identity is left only where another one's turn comes, or where code of users
// could have changed its settings. In one transaction, in which no template is freed.
template <class Body>
void KeepingIdentity(Body&& body) {
  internal::StartKeepingIdentity();
  body();
  internal::StopKeepingIdentity();
}

// Within a guard: runs `body`, which evaluates expressions on a row of `routes`, whose fault alone
// is what comes of it, and to none but which any of that may be told.
template <class Body>
void BlamingRoutes(Routes routes, Body&& body) {
  internal::BlameRoutes(routes);
  body();
  internal::EndBlamingRoutes();
}

// Within a guard, now and then in what takes long: raises an error where its time is over.
void CheckGuard();

// Within a guard: runs `body` for something else than evaluating.
template <class Body>
void WhileDoing(Doing doing, Body&& body) {
  const Doing outer = internal::SwitchDoing(doing);
  body();
  (void)internal::SwitchDoing(outer);
}

// Runs what is ours, within a guard or not: its errors and its time are nobody's fault.
template <class Body>
void BlamingNobody(Body&& body) {
  const Blame blame = internal::PauseGuard();
  body();
  internal::ResumeGuard(blame);
}

// Whether a row was being looked up among many: nobody's expression takes that time.
bool IsLookingUp(const Blame& blamed);

// What an error was, before the (sub)transaction that it was raised in is aborted, which also ends
// the identity: ends the guard. May be called for errors outside of any.
GuardFailure AbandonGuard(const ErrorData& error);

// While the process ends, though nobody asked it to: what ran in the guard has done that, if
// anything did.
GuardFailure FailureAtExit();

}  // namespace live_queries
