// SELECT array_agg(x) FROM (SELECT ... ORDER BY y) q, SELECT * FROM (SELECT ... ORDER BY y) q LIMIT
// 3, ARRAY(SELECT x FROM (SELECT ... ORDER BY y) q): by the letter of SQL the order of the
// sub-select means nothing there, but everybody relies on it. Process: client backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// An order by columns of what a level reads.
struct InputOrder {
  List* columns;  // Var
  List* clauses;  // SortGroupClause, beside these
};

// The order in which `query` reads its rows, if it reads nothing but one ordered sub-select. The
// sub-select gets columns for that.
InputOrder OrderOfInput(Query* query);

// Adds it to the order of an aggregate of that level.
void OrderLikeInput(const InputOrder& order, Aggref* aggregate);

// Makes it the order of `query`, which has none, and whose order matters.
void OrderRowsLikeInput(Query* query);

}  // namespace live_queries
