// Looks at all tables that a query reads, on any level, and describes its result as if that were a
// table: columns, hidden ones too, and key. Process: client backend, evaluator.
#include "query/delta_strategy.hpp"

#include "model/clock_steps.hpp"
#include "pg/compat.hpp"
#include "query/clock.hpp"
#include "query/delta_plan.hpp"
#include "query/delta_routing.hpp"
#include "query/functions.hpp"
#include "query/key.hpp"
#include "query/own_rights.hpp"
#include "query/result_columns.hpp"
#include "query/table_facts.hpp"
#include "query/tree.hpp"
#include "query/type_shapes.hpp"
#include "query/unsupported.hpp"

extern "C" {
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "optimizer/tlist.h"
}

namespace live_queries {
namespace {

constexpr int kResult = 1;  // the result, as the only entry of a range table

// What is found in a query, whatever the level.
struct Survey {
  Plan* plan;
  List* tables;            // oids
  const char* why_hidden;  // why the role could not find out a key for itself
};

void LookAt(Query* query, RangeTblEntry* table, Survey* survey) {
  if (table->tablesample != nullptr) RaiseUnsupported("it contains TABLESAMPLE");
  const TableFacts facts = LookAtTable(*table);
  QuerySpec& spec = survey->plan->spec;
  spec.relations = list_concat_unique_oid(spec.relations, facts.relations);
  spec.parents = list_concat_unique_oid(spec.parents, facts.parents);
  survey->plan->temporary = list_concat_unique_oid(survey->plan->temporary, facts.temporary);
  survey->tables = list_append_unique_oid(survey->tables, table->relid);
  if (survey->why_hidden != nullptr) return;
  Bitmapset* all = bms_make_singleton(0);
  const Oid as_role = AccessOf(query, table).as_role;
  survey->why_hidden = WhyKeyIsHidden({table->relid, as_role, all}, list_make1_int(0));
}

bool SurveyTree(Node* node, Survey* survey) {
  if (node == nullptr) return false;
  if (IsA(node, Var) && castNode(Var, node)->varattno < 0)
    RaiseUnsupported("it uses a system column");
  if (IsA(node, CurrentOfExpr)) RaiseUnsupported("it uses CURRENT OF");
  if (!IsA(node, Query)) return WalkChildren(node, SurveyTree, survey);
  Query* query = castNode(Query, node);
  if (query->rowMarks != NIL) RaiseUnsupported("it locks rows (FOR UPDATE or FOR SHARE)");
  ListCell* cell;
  foreach (cell, query->rtable) {
    RangeTblEntry* entry = lfirst_node(RangeTblEntry, cell);
    // A view's own entries stay in its query (before 16), where nothing reads them.
    if (entry->rtekind == RTE_RELATION && entry->relkind != RELKIND_VIEW)
      LookAt(query, entry, survey);
  }
  return WalkChildren(node, SurveyTree, survey);
}

// SELECT the shown columns FROM the result WHERE all of `conditions` hold.
Query* Around(const DeltaPlan& delta, List* columns, List* conditions) {
  Query* query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->canSetTag = true;
  RangeTblEntry* entry = makeNode(RangeTblEntry);
  entry->rtekind = RTE_SUBQUERY;
  entry->subquery = delta.query;
  entry->inFromCl = true;
  List* names = NIL;
  ListCell* cell;
  foreach (cell, ResultColumns(delta.query->targetList)) {
    const char* name = lfirst_node(TargetEntry, cell)->resname;
    names = lappend(names, makeString(pstrdup(name == nullptr ? "?column?" : name)));
  }
  entry->eref = makeAlias("result", names);
  query->rtable = list_make1(entry);
  RangeTblRef* reference = makeNode(RangeTblRef);
  reference->rtindex = kResult;
  Node* quals = conditions == NIL ? nullptr : AsNode(make_ands_explicit(conditions));
  query->jointree = makeFromExpr(list_make1(reference), quals);
  query->targetList = columns;
  return query;
}

// The columns of the result, hidden ones too, as those of a table.
void DescribeResult(const DeltaPlan& delta, int shown, QuerySpec* spec) {
  ListCell* cell;
  foreach (cell, ResultColumns(delta.query->targetList)) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    Var* column = makeVarFromTargetEntry(kResult, target);
    const char* name = target->resname == nullptr ? "?column?" : target->resname;
    spec->columns = lappend(spec->columns, column);
    spec->column_names = lappend(spec->column_names, makeString(pstrdup(name)));
    spec->column_count = target->resno;
    if (foreach_current_index(cell) >= shown) continue;
    TargetEntry* result = makeTargetEntry(reinterpret_cast<Expr*>(copyObjectImpl(column)),
                                          target->resno, pstrdup(name), false);
    result->ressortgroupref = target->ressortgroupref;
    spec->result_columns = lappend(spec->result_columns, result);
  }
  spec->bag = delta.bag;
  if (!delta.bag) spec->key = delta.key;
}

bool IsShown(List* key, int shown) {
  ListCell* cell;
  foreach (cell, key)
    if (lfirst_int(cell) > shown) return false;
  return true;
}

// Hidden columns that route are the same in all rows of one subscriber.
List* WithoutRouting(const QuerySpec& spec) {
  List* key = list_copy(spec.key);
  ListCell* cell;
  foreach (cell, RoutingColumns(spec.routing_conditions))
    if (lfirst_int(cell) > list_length(spec.result_columns))
      key = list_delete_int(key, lfirst_int(cell));
  return key;
}

void PlanKey(const char* why_hidden, Plan* plan) {
  QuerySpec& spec = plan->spec;
  spec.key = WithoutRouting(spec);
  ListCell* cell;
  foreach (cell, spec.key) {
    const int number = lfirst_int(cell);
    RequireDistinctText(strVal(list_nth(spec.column_names, number - 1)),
                        ColumnOf(spec, number)->vartype);
  }
  if (!IsShown(spec.key, list_length(spec.result_columns))) plan->why_opaque = why_hidden;
  spec.opaque_key = plan->why_opaque == nullptr ? pstrdup("") : NameForSecret(spec);
}

// With what can be routed taken out of the query, unless the whole of that would be evaluated.
DeltaPlan PlanRouted(Plan* plan) {
  QuerySpec& spec = plan->spec;
  const DeltaRouting routing = RouteDelta(spec.query);
  if (routing.conditions != NIL) {
    const DeltaPlan delta = PlanDelta(routing.query);
    if (delta.why_whole == nullptr && delta.refused == nullptr) {
      spec.query = routing.query;
      spec.routing_conditions = routing.conditions;
      plan->routing = routing.values;
      return delta;
    }
  }
  const DeltaPlan delta = PlanDelta(spec.query);
  if (delta.refused != nullptr)
    Raise({ERRCODE_FEATURE_NOT_SUPPORTED, psprintf("cannot watch this query: %s", delta.refused),
           nullptr, delta.cure});
  return delta;
}

}  // namespace

void PlanDeltaStrategy(const AnalyzedQuery& analyzed, Plan* plan) {
  *plan = {};
  QuerySpec& spec = plan->spec;
  spec.query = analyzed.query;
  if (AsksClock(spec.query)) spec.refresh_ms = kDefaultRefreshMs;
  spec.dependencies = analyzed.dependencies;
  plan->frozen = analyzed.frozen;
  RequireDistinctNames(ResultColumns(spec.query->targetList));
  Survey survey = {plan, NIL, nullptr};
  (void)SurveyTree(AsNode(spec.query), &survey);
  if (survey.tables == NIL) RaiseUnsupported("it reads no table");
  RequireRowFunctions(AsNode(spec.query));
  list_sort(spec.relations, list_oid_cmp);
  list_sort(spec.parents, list_oid_cmp);
  List** all = &spec.dependencies.relations;
  *all = list_concat_unique_oid(list_concat_unique_oid(*all, spec.relations), spec.parents);

  const int shown = list_length(ResultColumns(spec.query->targetList));
  const DeltaPlan delta = PlanRouted(plan);
  plan->strategy = delta.why_whole == nullptr ? Strategy::kDelta : Strategy::kRefresh;
  plan->why = delta.why_whole == nullptr
                  ? "what a change may have made stale is evaluated again"
                  : psprintf("the whole query is evaluated again: %s", delta.why_whole);
  DescribeResult(delta, shown, &spec);
  plan->query =
      Around(delta, spec.result_columns, BindRouting(spec.routing_conditions, plan->routing));
  PlanKey(survey.why_hidden, plan);
  spec.dependencies.shapes =
      TypeShapes(AsNode(list_make3(spec.query, spec.columns, KeyExpression(spec))));
  NoteDependencies(AsNode(lcons(KeyExpression(spec), list_copy(spec.columns))), &spec.dependencies);
  plan->reads_settings = CallsProcedures(AsNode(spec.query), spec.dependencies.called);
  ListCell* cell;
  foreach (cell, survey.tables)
    plan->table_names = lappend(plan->table_names, makeString(QualifiedName(lfirst_oid(cell))));
}

}  // namespace live_queries
