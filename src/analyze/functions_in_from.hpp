// Functions in FROM that are a query in SQL, each replaced by that query, as the planner does: a
// step of the analysis (analyzed_query.cpp). Process: client backend, decoder.
#pragma once

#include "analyze/query_dependencies.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Puts their queries, rewritten, in the places of functions in the FROM of `query`, on all its
// levels and in what has been put there; adds them, their row types, and what their arguments call,
// to `dependencies`. All others stay, such as those that read no table, those in other languages or
// with a support function, STRICT ones, and those that the role may not execute. Raises 0A000 if a
// body writes or takes a date/time of the clock from a literal, and if all that would be too much.
// Locks of their tables (AccessShareLock) stay until the end of the transaction.
void InlineFunctionsInFrom(Query* query, QueryDependencies* dependencies);

}  // namespace live_queries
