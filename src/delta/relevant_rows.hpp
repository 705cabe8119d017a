// What a row of a table has to fulfil to matter where the table stands in a query: conditions on
// its own columns, which the join tree or row security puts to each row of it. A row that fulfils
// them in neither snapshot makes nothing stale there. README.md in this folder gives the proof.
// Process: client backend, evaluator.
#pragma once

#include "delta/delta_plan.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// What is tested outside of the queries, on rows that the subscriber may not see and in another
// order than the query would: so each condition is leakproof, or compares values of the server's
// types, and raises no error.
struct RelevantRows {
  List* conditions;  // of a row that `versions` gives, NIL: none; their Vars are of entry 1
  Query* versions;  // the rows whose identity is in $1, $2, ...: their columns at their own numbers
  const RangeTblEntry* table;  // that of `versions`
};

// Of the entry `index` of `level`, which is prepared (PrepareLevel). `set` is its stale set.
// nullptr: any row may matter.
const RelevantRows* PlanRelevantRows(const Query* level, int index, const StaleSet& set);

// The numbers of the columns of the table of `set` that are the routing columns of the result, of
// these numbers: where nobody watches what a row has there, the row does not matter. NIL: it may,
// or something is kept of values that nobody watches.
List* RoutesInTable(const DeltaPlan& plan, List* routing_columns, const StaleSet& set);

}  // namespace live_queries
