// The stream strategy: one table, conditions and expressions on its rows alone, so that decoded
// rows tell all. Process: client backend, decoder.
#pragma once

#include <optional>

#include "analyze/analyzed_query.hpp"
#include "analyze/unsupported.hpp"
#include "query/plan.hpp"

namespace live_queries {

// Plans `analyzed`, or says why the stream cannot watch it. Raises what no strategy can watch:
// kinds of tables, names of result columns, functions that read more than their row, keys that look
// alike.
std::optional<WhyNot> PlanStream(const AnalyzedQuery& analyzed, Plan* plan);

// Restricts `spec` to the result columns of `former`, if it has all of them.
void KeepColumns(QuerySpec* spec, const QuerySpec& former);

}  // namespace live_queries
