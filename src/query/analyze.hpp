// From a query's text to what the decoder and the snapshot need. Process: client backend (at
// subscribe, refresh and explain), decoder (to check again what was allowed).
#pragma once

#include "pg/postgres.hpp"
#include "query/flatten.hpp"
#include "query/frozen_values.hpp"
#include "query/functions.hpp"
#include "query/spec.hpp"

namespace live_queries {

struct Analysis {
  QuerySpec spec;
  List* route_values;     // Const, beside spec.routing_conditions
  FrozenValues frozen;    // what is to be passed when the query is analysed again
  List* table_names;      // String, qualified
  List* temporary;        // TableFacts::temporary
  bool calls_procedures;  // for each row
  // For the snapshot, and for people.
  RangeTblEntry* table;
  Query* owner;
  List* barriers;     // lists of conditions
  List* quals;        // with the routing conditions
  List* target_list;  // TargetEntry, resjunk ones included
  List* sort_clause;
  const char* why_opaque;  // the key; nullptr: it is shown
};

// Analyses the query `text` as the current role, with `params` (String, or nullptr for NULL).
// Raises what is wrong with it: syntax, privileges (42501), not supported (0A000), replica identity
// (55000), number of parameters (22023) and so on. The result is in CurrentMemoryContext; locks on
// the tables (AccessShareLock) stay until the end of the transaction.
Analysis Analyze(const char* text, List* params, const FrozenValues& frozen);

// Takes out of `spec` what has only been added since `former`: columns, so that SELECT * stays as
// it was, and labels of enums.
void DisregardAdditions(QuerySpec* spec, const QuerySpec& former);

}  // namespace live_queries
