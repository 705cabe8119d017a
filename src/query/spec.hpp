// What the decoder needs to know of a query: the template, which subscriptions of the same shape
// share, written by the client's backend and read by the decoder as a node tree in text form. Two
// subscriptions share a template if and only if these texts are equal (and role and settings).
// Process: client backend (writes), decoder (reads).
#pragma once

#include "analyze/query_dependencies.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Of a query on one table, watched by the stream: all expressions are about that, as varno 1, and
// are ready for the executor. Of any other query, whose result has no table: they are about the
// columns of the result, hidden ones too (delta/delta_plan.hpp); there are no conditions.
struct QuerySpec {
  Query* query;      // analysed; nullptr: the stream watches it
  Oid relation;      // the table that the query names
  List* relations;   // oids of the tables with rows: itself, its partitions or children
  List* parents;     // oids of those, partitioned or not, whose partitions or children belong to it
  List* key;         // attribute numbers; NIL if `bag`
  bool bag;          // the result has no key
  char* opaque_key;  // names the query in the secret of its key; "": the key is shown
  bool full_identity;        // decoded changes contain whole old rows; else the identity's columns
  List* identity;            // attribute numbers, if not full_identity
  List* barrier_quals;       // implicitly ANDed, to be evaluated before anything else
  List* quals;               // likewise, after them
  List* result_columns;      // TargetEntry, named
  List* columns;             // Var: the columns that any of these use, types included
  List* column_names;        // String, beside `columns`
  int column_count;          // of the table, if whole rows are used; else the highest one used
  List* routing_conditions;  // analyze/routing_conditions.hpp; without a table, equalities alone
  int refresh_ms;  // between two times of the clock that it asks (model/clock_steps.hpp); 0: none
  bool alarm;      // it is known beforehand when these make a difference (delta/clock_windows.hpp)
  QueryDependencies dependencies;
};

inline bool IsOpaque(const QuerySpec& spec) { return spec.opaque_key[0] != '\0'; }

// In CurrentMemoryContext.
char* SpecToText(const QuerySpec& spec);
QuerySpec SpecFromText(const char* text);

// The column of that number among the columns of `spec`. Raises an error if it is none of them.
Var* ColumnOf(const QuerySpec& spec, int number);

}  // namespace live_queries
