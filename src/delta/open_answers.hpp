// What SQL leaves open: which rows LIMIT keeps of those that are equal in its order, which of
// several equal values stands for a group, in which order values are aggregated. A difference of
// two results is none where each of them decides otherwise; so it is decided by the rows and their
// values alone, or the query is refused. Called by the delta strategy's planner. Process: client
// backend, evaluator.
#pragma once

#include "delta/decisions.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Decides what one level leaves open; changes `query`. `key`: expressions that name a row of what
// it reads; nullptr: nothing does, and rows are told apart by what is used of them.
void DecideLevel(Query* query, List* const* key, Decisions* decisions);

// The same for `query` and all queries in it, without keys.
void DecideAll(Query* query, Decisions* decisions);

// The same for the queries in `query` that are no part of any FROM: sub-selects, and what set
// operations combine.
void DecideInner(Query* query, Decisions* decisions);

}  // namespace live_queries
