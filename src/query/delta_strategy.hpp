// The delta strategy, and refresh where a query has no smaller part: any SELECT on tables whose
// changes are decoded. What is shown of a result is described here; how it is kept live, in
// delta_plan.hpp. Process: client backend, evaluator.
#pragma once

#include "analyze/analyzed_query.hpp"
#include "query/plan.hpp"

namespace live_queries {

// Plans `analyzed`. Raises what this strategy cannot watch: kinds of tables, names of result
// columns, functions that read more than their row, row locks, system columns, answers that SQL
// leaves open.
void PlanDeltaStrategy(const AnalyzedQuery& analyzed, Plan* plan);

}  // namespace live_queries
