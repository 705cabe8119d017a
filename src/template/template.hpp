// A template: what all subscriptions of one shape, role and settings share: compiled expressions,
// and the index from routing values to subscriptions. match/README.md draws it. Process: decoder.
#pragma once

#include "decode/change_batch.hpp"
#include "pg/postgres.hpp"
#include "pg/session_identity.hpp"
#include "query/spec.hpp"
#include "template/dependencies.hpp"

extern "C" {
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
}

namespace live_queries {

struct Subscriber;
struct Template;

// The subscriptions of a template that have the same routing values. Who they are is a list that
// subscribers/subscriber.hpp keeps; here it is only known how many listen.
struct Route {
  Route* next_same_hash;
  Template* owner;
  uint32 hash;
  Datum* values;
  Subscriber* subscribers;
  int listening;  // those of them that are not muted
  // Of the transaction being evaluated.
  StringInfoData body;
  uint32 change_count;
  bool touched;
  Route* next_touched;
  // How long its expressions have run, in the measurement of that number.
  int64 evaluated_us;
  uint32 measurement;
};

// Where the columns of a template are in rows of one shape.
struct ColumnMap {
  uint32 shape_number;                          // hash key
  bool fits;                                    // if not, the rows cannot be evaluated
  bool knows_old_rows;                          // if not, inserts alone can be
  AttrNumber positions[FLEXIBLE_ARRAY_MEMBER];  // beside spec.columns, from 0
};

// What the executor needs; made anew whenever a definition may have changed.
struct CompiledTemplate {
  MemoryContext context;
  ExprContext* expressions;
  TupleTableSlot* old_row;
  TupleTableSlot* new_row;
  ExprState* barrier_quals;
  ExprState* quals;
  ProjectionInfo* old_result;
  ProjectionInfo* new_result;
  FmgrInfo* column_json;         // to_json, beside the result columns
  ExprState* key;                // json; nullptr if the result is a bag
  StringInfoData* column_names;  // `"name":`, beside the result columns
  bool* column_in_identity;      // computable from the replica identity alone
  struct HTAB* maps;             // ColumnMap by shape; of that generation
  uint32 maps_generation;
  const ColumnMap* last_map;
};

struct Template {
  Template* next;
  MemoryContext context;
  char* key;  // role, session, settings and spec as text
  Oid role;
  SessionIdentity session;
  char* settings;
  char* spec_text;
  QuerySpec spec;
  int route_count;  // each has subscribers
  int listening;    // subscribers that are not muted; without any it is not evaluated
  // The routing columns, beside spec.routing_conditions.
  AttrNumber* route_columns;
  bool* route_by_value;
  FmgrInfo* route_hash;
  FmgrInfo* route_equal;
  Oid* route_collations;
  struct HTAB* routes;         // hash to Route chain; unused without routing columns
  Route* only_route;           // the route if there are no routing columns
  CompiledTemplate* compiled;  // nullptr: to be done
  bool unchecked;              // privileges and definitions must be looked at before use
  int catalog_readers;         // subscribers with values that any catalog may change
  uint64_t checked_at;         // the end of the log when that was done last; 0: never
  bool function_changed;       // and that is a reason for it
  bool values_unchecked;       // those of one of them must be looked at before use
  uint64_t values_asked;       // how many times those of all were to be looked at, and once
  uint64_t catalog_changes;    // of those, since a catalog has changed
  Dependencies dependencies;
  // Changes of the piece being evaluated that are about its tables.
  int* piece_changes;
  int piece_count;
};

// Makes a template; its memory is a child of `parent`, which an error may leave to be freed there.
// In a transaction.
Template* MakeTemplate(MemoryContext parent, const char* key, Oid role,
                       const SessionIdentity& session, const char* settings, const char* spec_text);
// Frees it; it has no routes.
void FreeTemplate(Template* one);

// Compiles the expressions, as the current role. In a transaction.
CompiledTemplate* Compile(Template* one);
void DropCompiled(Template* one);

// The map for rows of `shape`, made if need be.
const ColumnMap* MapFor(Template* one, const RowShape* shape);

}  // namespace live_queries
