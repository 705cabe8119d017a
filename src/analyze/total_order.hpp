// Orders that leave nothing open: values that are equal and not the same follow in the order of
// their texts. Process: client backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Adds to `*order`, of `*targets`, a clause as `like` for `expression`, unless it is ordered by
// that already; also to `*targets`, as junk.
void AppendOrder(const SortGroupClause* like, Expr* expression, List** order, List** targets);

// Adds to `*order` (SortGroupClause), of `*targets`, what is needed to order by `expression` as
// well; also to `*targets`, as junk.
void OrderAlsoBy(Expr* expression, List** order, List** targets);

// Whether its values can be ordered by its type, and not only by their texts.
bool CanBeOrdered(const Expr* expression);

}  // namespace live_queries
