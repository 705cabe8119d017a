// What there is to know of a table before it can be watched, and of its keys where its changes are
// decoded. Called by stream_plan.cpp and decode/watched_tables.cpp. Process: client backend,
// decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
}

namespace live_queries {

struct TableFacts {
  List* relations;        // oids of the tables with rows
  List* parents;          // oids of those, partitioned or not, whose children belong to it
  bool full_identity;     // REPLICA IDENTITY FULL on all of them
  Bitmapset* identity;    // attribute numbers of the table, if not full_identity
  List* key;              // attribute numbers; NIL: no key
  Oid key_index;          // if there is one: the index that keeps rows apart by it
  const char* weak_name;  // a table without REPLICA IDENTITY FULL, quoted; nullptr if none
  List* temporary;  // oids of the schemas of temporary children, which only their sessions read
};

// The columns of index `oid`, in its order; NIL if there is none, or it does not keep rows apart at
// once. Under any snapshot of the catalogs.
List* IndexColumns(Oid oid);

// The name of an index of all rows of the table that finds them by the order of the column;
// nullptr: there is none.
const char* IndexOn(Oid relation, AttrNumber column);

// Its schema and name, quoted.
char* QualifiedName(Oid relation);

// Raises 0A000 or 42809 if the table cannot be watched at all.
TableFacts LookAtTable(const RangeTblEntry& table);

}  // namespace live_queries
