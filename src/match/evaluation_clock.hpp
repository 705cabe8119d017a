// The time limit of evaluating a subscription's expressions (live_queries.evaluation_timeout).
// There is one clock: only one evaluation runs at a time. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

inline constexpr const char* kEvaluationTimeoutReason =
    "evaluating the query took longer than live_queries.evaluation_timeout";

// Registers the timeouts and the handler of SIGTERM; after the server's own.
void PrepareEvaluationClock();

// From here on, an evaluation that takes too long is cancelled; one that catches that and goes on
// for as long again ends the process.
void StartEvaluationClock();

// Around what is ours within an evaluation. PauseEvaluationClock never raises an error.
void PauseEvaluationClock();
void ResumeEvaluationClock();

// Raises 57014 if the time is over, where an evaluation has come to an end although: it has not
// looked for the cancel, or has caught it.
void CheckEvaluationClock();

// Never raises an error: what nothing has looked for is forgotten.
void StopEvaluationClock();

// Whether the evaluation that was started last has used up its time.
bool EvaluationTimedOut();

// Whether this process was asked to end: if not, and it ends within an evaluation, that is why.
bool WasAskedToEnd();

}  // namespace live_queries
