// The time limit of evaluating a subscription's expressions (live_queries.evaluation_timeout). There is one clock: only
// one evaluation runs at a time. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

inline constexpr const char* kEvaluationTimeoutReason =
    "evaluating the query took longer than live_queries.evaluation_timeout";

// Registers the timeouts; after the server's own.
void PrepareEvaluationClock();

// From here on, an evaluation that takes too long is cancelled; one that catches that and goes on
// for as long again ends the process.
void StartEvaluationClock();

// Never raises an error: a cancel that nothing has looked for is forgotten.
void StopEvaluationClock();

// Whether the evaluation that was started last has used up its time.
bool EvaluationTimedOut();

// Whether this process ends because an evaluation does not.
bool EvaluationIsStuck();

}  // namespace live_queries
