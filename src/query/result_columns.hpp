// The columns of a result: which they are, and what live.subscribe tells of them, so that a client
// can keep rows by key and in order without knowing the query. Process: client backend, worker.
#pragma once

#include "pg/postgres.hpp"
#include "query/plan.hpp"

namespace live_queries {

// Those of a target list (TargetEntry) that are shown.
List* ResultColumns(List* target_list);

// Raises 42701 if two of them have one name.
void RequireDistinctNames(List* result_columns);

// A JSON array with an object for each result column, in CurrentMemoryContext: its `name` and
// `type`; `key`, the place from 0 in the key of messages, where it is a part of that; and `order`,
// the place from 0 in the query's ORDER BY, `descending` and `nulls_first`, where it is named
// there. A place that no column has belongs to what the query does not show.
char* DescribeResultColumns(const Plan& plan);

}  // namespace live_queries
