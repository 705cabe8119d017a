// Makes one level of query levels that only choose, condition and compute, one over the other:
// views and sub-selects over one source. All that follows is easier on what is left. The planner
// does the same (prepjointree.c), but on its own structures and not through security barriers; here
// the conditions of a barrier become security conditions of the table, which keep their order.
// Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// nullptr if the level `query` only chooses, conditions and computes, from one source; else what it
// does beside that, to complete "cannot watch this query: ".
const char* WhyNotPlain(const Query& query);

// The one source of such a level.
RangeTblEntry* SourceOf(const Query& query);

// `query`, rewritten, with this done on all its levels; and with sub-selects without FROM replaced
// by their expressions. May change `query`.
Query* PullUp(Query* query);

// `expressions`, not empty, with that last step alone, but within other sub-selects.
List* PullUpExpressions(List* expressions);

}  // namespace live_queries
