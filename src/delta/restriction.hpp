// Puts conditions where they are cheapest: at the innermost place of a query, below grouping,
// DISTINCT, set operations and security barriers. They cannot leak anything: their values come from
// the strategy itself. Process: any.
#pragma once

#include "delta/stale_sets.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Describes a set's column of the values of `expression`, found by the type's own equality, without
// numbers of parameters; false if its type has no equality or no arrays.
bool DescribeColumn(const Expr* expression, SetColumn* column);

// Whether `expression` is among the values of `column`: true, false, or NULL for false.
Expr* IsAmong(Expr* expression, const SetColumn& column);

// Whether rows without a partner can stand for the entry `index` in what `node` joins. `nullable`:
// it is known of all of `node`.
bool IsNullable(Node* node, int index, bool nullable);

// Restricts `query` to rows for which `expression`, over what it reads, is among those of `column`.
// Changes `query`. The caller has seen to it that this does not change what is left: where the
// query groups, the expression is one of those that it groups by, and so on.
void Restrict(Query* query, Expr* expression, const SetColumn& column);

// One more level around `inner`, of what it selects.
Query* Wrapped(Query* inner);

// `expression`, a result column of what a set operation combines, as a column of its result.
Expr* AsType(Expr* expression, Oid type);

}  // namespace live_queries
