// A query that may be watched, as far as that does not depend on how: its tree, what it depends on
// and the values that were frozen in it. Any SELECT. analyze/README.md draws the stages. Process:
// client backend (at subscribe, refresh and explain), decoder (to check again what was allowed).
#pragma once

#include "analyze/frozen_values.hpp"
#include "analyze/query_dependencies.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

struct AnalyzedQuery {
  // Rewritten, with parameters bound, values frozen and what is constant evaluated; no function in
  // it is volatile, and the clock is a parameter.
  Query* query;
  QueryDependencies dependencies;
  FrozenValues frozen;  // what is to be passed when the query is analysed again
};

// Analyses the query `text` as the current role, with `params` (String, or nullptr for NULL).
// Raises what no strategy can watch: syntax, privileges (42501), functions (0A000) and so on. The
// result is in CurrentMemoryContext; locks on the tables stay until the end of the transaction.
AnalyzedQuery AnalyzeQuery(const char* text, List* params, const FrozenValues& frozen);

// Adds what `tree`, of expressions or a query, depends on; raises 0A000 for the domains in it, and
// for what would make JSON.
void NoteDependencies(Node* tree, QueryDependencies* dependencies);

}  // namespace live_queries
