// The time limits of evaluating subscriptions' expressions: live_queries.evaluation_timeout for
// those of one template on one piece of changes, and twice that for all of one role's in one turn,
// that is until changes are published again, since everybody waits for that. There is one clock:
// only one evaluation runs at a time. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace live_queries {

inline constexpr const char* kEvaluationTimeoutReason =
    "evaluating the query took longer than live_queries.evaluation_timeout";
inline constexpr const char* kRoleIsSpentReason =
    "evaluating the role's queries together took too long (live_queries.evaluation_timeout)";

// Registers the timeouts and the handler of SIGTERM; after the server's own. What is remembered is
// kept in `context`.
void PrepareEvaluationClock(MemoryContext context);

// All roles have their time again.
void BeginTurn();

// Whether `role` has used up its time: nothing of it is to be evaluated in this turn any more.
bool RoleIsSpent(Oid role);

// From here on, an evaluation for `role`, on so many `rows`, that takes too long is cancelled; one
// that catches that and goes on for as long again ends the process.
void StartEvaluationClock(Oid role, int rows);

// Around what is ours within an evaluation. PauseEvaluationClock never raises an error.
void PauseEvaluationClock();
void ResumeEvaluationClock();

// When the evaluation that was started last began, without what was ours within it.
TimestampTz EvaluationStart();

// Raises 57014 if the time is over, where an evaluation has come to an end although: it has not
// looked for the cancel, or has caught it.
void CheckEvaluationClock();

// Never raises an error: what nothing has looked for is forgotten.
void StopEvaluationClock();

// Whether the evaluation that was started last has used up its time,
bool EvaluationTimedOut();
// which was not its own but what others had left of its role's.
bool RoleTimedOut();

// Whether this process was asked to end: if not, and it ends within an evaluation, that is why.
bool WasAskedToEnd();

}  // namespace live_queries
