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
#include "utils/builtins.h"
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

  Node* tree = AsNode(PullUp(statement.query));
  tree = BindParams(tree, statement.param_values);
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
