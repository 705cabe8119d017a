// Membership as a condition of the whole query: a sub-select that holds a row of the table
// `members` for who asks, such as team IN (SELECT team FROM members WHERE who = $1). As a join with
// that row, its column `who` is one of what the query reads, and can route. Process: client
// backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// A copy of `query`, analysed, with the memberships among the conditions of its outermost level
// joined; nullptr if there is none. A row has no more partners than one in each of them, for one
// value of each column that a constant is asked of. With `of_policies`, those of row security also,
// and its equalities, become conditions of the query, unless anything that the query computes could
// tell of the rows that they hide.
Query* JoinMembers(const Query* query, bool of_policies);

}  // namespace live_queries
