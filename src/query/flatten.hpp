// Takes a rewritten query apart: one table, conditions, result columns. Process: client backend,
// decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Expressions are about `table` as varno 1, level 0.
struct FlatQuery {
  RangeTblEntry* table;  // a plain relation, its securityQuals taken away
  Query* owner;          // the query level that `table` is of, for its permission info
  List* barriers;        // lists of conditions, one a security level, innermost first
  List* quals;           // conditions that may be evaluated in any order, after `barriers`
  List* target_list;     // TargetEntry, resjunk ones included
  List* sort_clause;     // of the outermost level
};

// Raises 0A000 with the reason if `query` is not such a query. May change `query`.
FlatQuery Flatten(Query* query);

}  // namespace live_queries
