// From text to plan. query/README.md draws it. Process: client backend (at subscribe,
// refresh and explain), decoder (to check again what was allowed).
#pragma once

#include "pg/postgres.hpp"
#include "query/plan.hpp"

namespace live_queries {

// Among which strategies a query's is chosen. On a table whose old rows are not logged, the stream
// tells less of updates and deletes than the others do; so it comes first only where it is asked
// for, or where the whole query would be evaluated otherwise.
enum class StrategyChoice : uint8_t {
  kBest,
  kStreamIfPossible,  // however little that tells
  kStreamAlone,       // there are no evaluators
};

// Of this session.
StrategyChoice ChoiceOfSession();

// Analyses the query `text` as the current role and plans it. Raises what AnalyzeQuery raises, and
// why no strategy can watch the query (0A000, 55000, 42809 and so on).
Plan MakePlan(const char* text, List* params, const FrozenValues& frozen, StrategyChoice choice);

// Takes out of `plan` what has only been added since `former`: columns, so that SELECT * stays as
// it was, and labels of enums; and what the query does not say.
void DisregardAdditions(Plan* plan, const QuerySpec& former);

}  // namespace live_queries
