// WITH: each reference to one of its queries becomes that query. Process: client backend,
// evaluator.
#pragma once

#include "delta/decisions.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Changes `query`. Returns nullptr; or why that cannot be done, and leaves it in pieces. What SQL
// leaves open in a query that is referred to twice is decided, or noted.
const char* InlineCommonTables(Query* query, Decisions* decisions);

}  // namespace live_queries
