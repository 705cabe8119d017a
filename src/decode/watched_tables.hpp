// The tables whose changes are copied or noted, as they are at the point of the log that decoding
// has reached: what their rows look like, and in which file they are. The output plugin asks for
// each change; whoever evaluates changes watches tables and reads the shapes. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"
}

namespace live_queries {

// What a table's rows looked like when they were written: its columns at that point of the log.
// Kept until no transaction needs it any more.
struct RowShape {
  RowShape* next;
  Oid relation;
  uint32 number;  // unique; the decoder never reuses it
  TupleDesc descriptor;
  bool full_identity;  // old rows were logged whole; else these columns of them, or nothing
  List* identity;      // attribute numbers of the replica identity's index
  List* primary_key;   // attribute numbers; NIL: nothing kept rows from having the same key
  List* ancestors;     // oids of the tables that it was a partition of, up to the root
};

struct WatchedTable;

// All of it lives below `context`, and learns of changes of catalogs.
void PrepareWatchedTables(MemoryContext context);

// The tables to copy rows of; counted, so each Watch (in a transaction) has its Unwatch. Prepared
// before, it reads nothing. (One that is prepared alone is kept up to date as well.)
void PrepareToWatch(Oid relation);
void WatchTable(Oid relation);
void UnwatchTable(Oid relation);

// The identities (WatchedIdentity*, the caller's) by which evaluators want to be told of changes of
// a table; NIL: none. In a transaction.
void WatchIdentities(Oid relation, const List* identities);

// The rest is for the output plugin, under the historic snapshot of decoding.

// nullptr: nobody watches it.
WatchedTable* FindWatched(Oid relation);
// Whether its rows are copied for templates.
bool RowsAreWatched(const WatchedTable* table);
// NIL: no evaluator watches it.
const List* WatchedIdentities(const WatchedTable* table);
// The shape of the rows that are decoded now. May leave something in the current context.
RowShape* ShapeOf(WatchedTable* table, Relation relation);
// Whether `relation` has other files, or is logged in another way, than when it was asked last (or
// when it was first watched).
bool NoticeStorage(WatchedTable* table, Relation relation);
// Of the watched tables that one of `changed` (oids, ascending, at least one) is, or is or was a
// partition or child of: those that have other partitions or children than when they were asked
// last (or when they were first watched). Oids, in the current context.
List* NoticeChildren(const List* changed);

// Frees the shapes that no table has any more, if they have become many. No transaction that was
// decoded may still be waiting for its evaluation: its rows point to their shapes.
void FreeUnusedShapes();
// Another one whenever shapes have been freed.
uint32 ShapeGeneration();

}  // namespace live_queries
