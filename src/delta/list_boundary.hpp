// Where a list ends: of the rows of a query with LIMIT, those behind its last one do not matter, as
// long as they stay there. So the place of the last row is kept where the list is full, and what
// changes behind it makes nothing stale. README.md in src/evaluate gives the proof. Process: client
// backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

struct ListBoundary {
  int set;        // the stale set of the lists, whose probe selects `values` behind its columns
  int64 rows;     // so many are a full list
  List* values;   // expressions: what its rows are ordered by, to the last
  List* clauses;  // SortGroupClause*, beside those
  List* columns;  // numbers of the result columns that are the values
};

// Of a level that is decided and gives the result. nullptr: of this kind none is kept.
ListBoundary* PlanBoundary(const Query& level);

// Makes result columns of what `query` is ordered by, behind those that it has. Returns their
// numbers.
List* SelectOrder(Query* query);

}  // namespace live_queries
