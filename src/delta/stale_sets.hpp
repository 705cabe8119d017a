// The data of the delta strategy: which values may be stale after a batch, and what has to be run
// for that. The rules are those of delta/README.md. Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

struct RelevantRows;

// A column of a stale set, and the parameter that holds its values, an array.
struct SetColumn {
  int param;       // $n
  int null_param;  // $n, a boolean: whether NULL is one of them; 0: it never is
  Oid type;        // of an element
  Oid array_type;  // of the parameter
  Oid equality;    // the operator that finds them
  Oid collation;
};

// A query that is restricted by the values of one stale set, to be run where that is not empty.
struct Restricted {
  int set;
  Query* query;
};

// A set of values. Those of a table are the identities of its rows that were changed; others are
// what a probe finds, at either of the two snapshots. It is known before those with higher numbers.
struct StaleSet {
  int number;       // from 0
  Oid table;        // InvalidOid: it has a probe
  List* relations;  // oids of the tables with rows of it: itself, its partitions or children
  List* identity;   // attribute numbers of `table`, beside `columns`
  List* columns;    // SetColumn*; NIL: all that matters is whether the probe finds a row,
  int found_param;  // $n, a boolean: whether it does; 0 where there are columns
  List* probe;      // Restricted*: their results together
  bool of_routes;   // only those values count that somebody watches
  bool unique;      // no two rows of `table` are equal in `columns`
  int entry;        // of `table` in the range table of the outermost level; 0: it stands elsewhere
  const RelevantRows* relevant;  // those of `table` that matter; nullptr: any may
};

}  // namespace live_queries
