// Writes and reads the text form of a QuerySpec. Process: client backend, decoder.
#include "query/spec.hpp"

#include "analyze/tree.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/nodes.h"
#include "nodes/value.h"
}

namespace live_queries {
namespace {

Node* Number(int value) { return reinterpret_cast<Node*>(makeInteger(value)); }

}  // namespace

char* SpecToText(const QuerySpec& spec) {
  List* fields = list_make1(spec.query);
  fields = lappend(fields, Number(static_cast<int>(spec.relation)));
  fields = lappend(fields, spec.relations);
  fields = lappend(fields, spec.parents);
  fields = lappend(fields, spec.key);
  fields = lappend(fields, Number(spec.bag));
  fields = lappend(fields, makeString(spec.opaque_key));
  fields = lappend(fields, Number(spec.full_identity));
  fields = lappend(fields, spec.identity);
  fields = lappend(fields, spec.barrier_quals);
  fields = lappend(fields, spec.quals);
  fields = lappend(fields, spec.result_columns);
  fields = lappend(fields, spec.columns);
  fields = lappend(fields, spec.column_names);
  fields = lappend(fields, Number(spec.column_count));
  fields = lappend(fields, spec.routing_conditions);
  fields = lappend(fields, Number(spec.refresh_ms));
  fields = lappend(fields, Number(spec.alarm));
  const QueryDependencies& dependencies = spec.dependencies;
  fields = lappend(fields, dependencies.relations);
  fields = lappend(fields, makeString(dependencies.access));
  fields = lappend(fields, dependencies.called.oids);
  fields = lappend(fields, dependencies.called.versions);
  fields = lappend(fields, dependencies.inlined);
  fields = lappend(fields, dependencies.of_roles);
  fields = lappend(fields, dependencies.types);
  fields = lappend(fields, Number(dependencies.params_read_catalogs));
  fields = lappend(fields, dependencies.shapes);
  return TreeToText(fields);
}

QuerySpec SpecFromText(const char* text) {
  List* fields = static_cast<List*>(stringToNode(text));
  int next = 0;
  auto list = [&] { return static_cast<List*>(list_nth(fields, next++)); };
  auto number = [&] { return intVal(list_nth(fields, next++)); };
  QuerySpec spec = {};
  spec.query = static_cast<Query*>(list_nth(fields, next++));
  spec.relation = static_cast<Oid>(number());
  spec.relations = list();
  spec.parents = list();
  spec.key = list();
  spec.bag = number() != 0;
  spec.opaque_key = strVal(list_nth(fields, next++));
  spec.full_identity = number() != 0;
  spec.identity = list();
  spec.barrier_quals = list();
  spec.quals = list();
  spec.result_columns = list();
  spec.columns = list();
  spec.column_names = list();
  spec.column_count = number();
  spec.routing_conditions = list();
  spec.refresh_ms = number();
  spec.alarm = number() != 0;
  QueryDependencies& dependencies = spec.dependencies;
  dependencies.relations = list();
  dependencies.access = strVal(list_nth(fields, next++));
  dependencies.called.oids = list();
  dependencies.called.versions = list();
  dependencies.inlined = list();
  dependencies.of_roles = list();
  dependencies.types = list();
  dependencies.params_read_catalogs = number() != 0;
  dependencies.shapes = list();
  return spec;
}

Var* ColumnOf(const QuerySpec& spec, int number) {
  ListCell* cell;
  foreach (cell, spec.columns)
    if (lfirst_node(Var, cell)->varattno == number) return lfirst_node(Var, cell);
  elog(ERROR, "live_queries lacks column %d of the key", number);
  pg_unreachable();
}

}  // namespace live_queries
