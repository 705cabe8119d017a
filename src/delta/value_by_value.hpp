// A query that is evaluated for one value of its routing columns after the other: what limits rows,
// or makes one group of all, cannot do that for all values at once. Process: client backend,
// evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// SELECT the columns of `query`, the values FROM unnest($1, ...), LATERAL (`query` where the
// columns have the values). `conditions`: OpExpr, column = Param(n), beside `names`, those of the
// columns in the result. nullptr if a type has no arrays, or is composite. Takes `query` over.
Query* ValueByValue(Query* query, List* conditions, List* names);

bool IsValueByValue(const Query& query);

// What such a query evaluates for each value; of another query, itself.
const Query& LevelOfValue(const Query& query);

// Takes the conditions on the values out of that: OpExpr, expression = value, in the order of the
// values.
List* TakeOutValues(Query* level);

// What such a query would select if one could ask for all values at once: its level without the
// conditions on them, by the columns of the result. `columns`: the expressions in the place of
// values.
Query* OfAllValues(const Query& query, List** columns);

// The functions that give the values: FuncExpr, each of an array, a Param.
List* SourcesOfValues(const Query& query);

}  // namespace live_queries
