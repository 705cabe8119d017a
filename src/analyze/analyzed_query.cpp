// The steps from text to AnalyzedQuery, in an order that matters: analyze/README.md says why.
// Process: client backend, decoder.
#include "analyze/analyzed_query.hpp"

#include "analyze/clock.hpp"
#include "analyze/constant_rows.hpp"
#include "analyze/domain_checks.hpp"
#include "analyze/functions.hpp"
#include "analyze/functions_in_from.hpp"
#include "analyze/pull_up.hpp"
#include "analyze/statement.hpp"
#include "analyze/tree.hpp"
#include "analyze/type_components.hpp"
#include "analyze/type_functions.hpp"
#include "analyze/value_sources.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "catalog/pg_attribute.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// Raises 42501 if the role may not read what `node` names, on any level; notes what that is.
bool CheckPermissions(Node* node, QueryDependencies* dependencies) {
  if (node == nullptr) return false;
  if (!IsA(node, Query)) return WalkChildren(node, CheckPermissions, dependencies);
  Query* query = castNode(Query, node);
  CheckLevelPermissions(query);
  StringInfoData access;
  initStringInfo(&access);
  ListCell* cell;
  foreach (cell, query->rtable) {
    RangeTblEntry* entry = lfirst_node(RangeTblEntry, cell);
    if (!OidIsValid(entry->relid)) continue;  // a view keeps its oid when it is expanded (since 16)
    const TableAccess table = AccessOf(query, entry);
    char* columns = bmsToString(table.columns);
    appendStringInfo(&access, "%u as %u %s;", table.relation, table.as_role, columns);
    dependencies->relations = list_append_unique_oid(dependencies->relations, table.relation);
  }
  dependencies->access = psprintf("%s%s", dependencies->access, access.data);
  return WalkChildren(node, CheckPermissions, dependencies);
}

// Virtual generated columns that a query names, on any level.
struct VirtualColumns {
  List* levels;       // Query*, of those around the node, the innermost first
  List* expressions;  // what they are computed from
};

void NoteIfVirtual(Oid table, AttrNumber number, VirtualColumns* found) {
  const char generated = get_attgenerated(table, number);
  if (generated == '\0' || generated == ATTRIBUTE_GENERATED_STORED) return;
  Oid type;
  int32 modifier;
  Oid collation;
  get_atttypetypmodcoll(table, number, &type, &modifier, &collation);
  List* column = list_make1(makeVar(1, number, type, modifier, collation, 0));
  found->expressions =
      list_append_unique(found->expressions, WithoutVirtualColumns(column, table, 1));
}

void NoteColumn(const Var& var, VirtualColumns* found) {
  if (var.varlevelsup >= static_cast<Index>(list_length(found->levels))) return;
  const auto* level = list_nth_node(Query, found->levels, static_cast<int>(var.varlevelsup));
  const RangeTblEntry* entry = rt_fetch(var.varno, level->rtable);
  if (entry->rtekind != RTE_RELATION) return;
  if (var.varattno > 0) NoteIfVirtual(entry->relid, var.varattno, found);
  if (var.varattno != 0) return;
  // The whole row.
  for (AttrNumber i = 1; get_attname(entry->relid, i, true) != nullptr; ++i)
    NoteIfVirtual(entry->relid, i, found);
}

bool FindVirtualColumns(Node* node, VirtualColumns* found) {
  if (node == nullptr) return false;
  if (IsA(node, Var)) NoteColumn(*castNode(Var, node), found);
  if (!IsA(node, Query)) return WalkChildren(node, FindVirtualColumns, found);
  found->levels = lcons(node, found->levels);
  (void)WalkChildren(node, FindVirtualColumns, found);
  found->levels = list_delete_first(found->levels);
  return false;
}

// Where a query was not pulled up, the server puts what they are computed from in their place only
// where it plans, and no row is written when that becomes another: so it is a part of the query.
void NoteVirtualColumns(Query* query, QueryDependencies* dependencies) {
  VirtualColumns found = {NIL, NIL};
  (void)FindVirtualColumns(AsNode(query), &found);
  if (found.expressions == NIL) return;
  dependencies->access = psprintf("%s%s", dependencies->access, nodeToString(found.expressions));
}

// Nobody would be told that a name has changed: no row of the table has.
void RequireSteadyNames(List* target_list) {
  ListCell* cell;
  foreach (cell, target_list) {
    const TargetEntry* column = lfirst_node(TargetEntry, cell);
    Node* value = AsNode(column->expr);
    if (column->resjunk || !ShowsNames(value)) continue;
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("cannot watch this query: column \"%s\" shows names that can change",
                   column->resname),
            errdetail("Values of type %s are shown by the names of what they refer to.",
                      format_type_be(exprType(value))),
            errhint("Select them as oid, or not at all."));
  }
}

}  // namespace

AnalyzedQuery AnalyzeQuery(const char* text, List* params, const FrozenValues& frozen) {
  AnalyzedQuery result = {nullptr, {}, frozen};
  QueryDependencies& dependencies = result.dependencies;
  const Statement statement = ReadStatement(text, params);
  dependencies.params_read_catalogs = statement.params_read_catalogs;
  dependencies.access = pstrdup("");
  InlineFunctionsInFrom(statement.query, &dependencies);
  (void)CheckPermissions(AsNode(statement.query), &dependencies);

  Query* pulled_up = PullUp(statement.query);
  NoteVirtualColumns(pulled_up, &dependencies);
  Node* tree = BindParams(AsNode(pulled_up), statement.param_values);
  RequirePlainClock(tree);
  RequireNoVolatile(tree);
  NoteDependencies(tree, &dependencies);
  tree = Simplify(tree, &dependencies.inlined);
  NoteDependencies(tree, &dependencies);
  // A value that is frozen, or computed here for good, asks for nobody's privileges later on.
  RequireExecute(tree);
  RequireExecuteInBodies(dependencies.called);
  tree = ParameterizeClock(tree);
  RequireNoClock(tree);  // what was inlined
  tree = Freeze(tree, &result.frozen);
  dependencies.of_roles = result.frozen.of_roles;
  tree = Simplify(tree, &dependencies.inlined);
  result.query = castNode(Query, WithoutConstantRows(tree));
  RequireSteadyNames(result.query->targetList);
  return result;
}

void NoteDependencies(Node* tree, QueryDependencies* dependencies) {
  NoteCalledFunctions(tree, &dependencies->called);
  dependencies->types = list_concat_unique_oid(dependencies->types, TypesIn(tree, true));
  Node* checks = AsNode(DomainChecksIn(tree));
  RequireNoClock(checks);
  RequireSteadyChecks(checks);
  RequireSteadyJson(TypesMadeJson(tree));
}

}  // namespace live_queries
