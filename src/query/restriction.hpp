// Puts conditions where they are cheapest: at the innermost place of a query, below grouping,
// DISTINCT, set operations and security barriers. They cannot leak anything: their values come from
// the strategy itself. Process: any.
#pragma once

#include "pg/postgres.hpp"
#include "query/stale_sets.hpp"

namespace live_queries {

// Describes a set's column of the values of `expression`, found by the type's own equality, without
// numbers of parameters; false if its type has no equality or no arrays.
bool DescribeColumn(const Expr* expression, SetColumn* column);

// A parameter of what is run.
Expr* MakeParam(int number, Oid type);

// Whether `expression` is among the values of `column`: true, false, or NULL for false.
Expr* IsAmong(Expr* expression, const SetColumn& column);

// Restricts `query` to rows for which `expression`, over what it reads, is among those of `column`.
// Changes `query`. The caller has seen to it that this does not change what is left: where the query
// groups, the expression is one of those that it groups by, and so on.
void Restrict(Query* query, Expr* expression, const SetColumn& column);

}  // namespace live_queries
