// Aggregates whose result depends on the order of what they are given, or on which of several equal
// values they meet. Process: client backend, evaluator.
#pragma once

#include "delta/decisions.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Whether the order of its input does not matter to the aggregate `function`, called with
// `arguments` (expressions).
bool IsIndifferent(Oid function, List* arguments);

// Decides what `aggregate` leaves open.
void DecideAggregate(Aggref* aggregate, Decisions* decisions);

}  // namespace live_queries
