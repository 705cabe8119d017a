// Looks at all tables that a query reads, on any level, and describes its result as if that were a
// table: columns, hidden ones too, and key. Process: client backend, evaluator.
#include "query/delta_strategy.hpp"

#include "analyze/clock.hpp"
#include "analyze/functions.hpp"
#include "analyze/table_facts.hpp"
#include "analyze/tree.hpp"
#include "analyze/type_shapes.hpp"
#include "analyze/unsupported.hpp"
#include "delta/delta_plan.hpp"
#include "delta/delta_routing.hpp"
#include "delta/members.hpp"
#include "delta/restriction.hpp"
#include "delta/value_by_value.hpp"
#include "model/clock_steps.hpp"
#include "pg/compat.hpp"
#include "query/key.hpp"
#include "query/own_rights.hpp"
#include "query/result_columns.hpp"

extern "C" {
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
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

// SELECT the shown columns FROM `result` WHERE all of `conditions` hold.
Query* Around(Query* result, List* columns, List* conditions) {
  Query* query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->canSetTag = true;
  RangeTblEntry* entry = makeNode(RangeTblEntry);
  entry->rtekind = RTE_SUBQUERY;
  entry->subquery = result;
  entry->inFromCl = true;
  List* names = NIL;
  ListCell* cell;
  foreach (cell, ResultColumns(result->targetList)) {
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

// ----- routing -----

// What a column of `routed` is, over what its level reads.
const Expr* ExpressionOf(const Query& routed, int number) {
  const Expr* expression =
      get_tle_by_resno(routed.targetList, static_cast<AttrNumber>(number))->expr;
  if (!IsValueByValue(routed)) return expression;
  const AttrNumber of_level = reinterpret_cast<const Var*>(expression)->varattno;
  return get_tle_by_resno(LevelOfValue(routed).targetList, of_level)->expr;
}

// The number of the column of `original` that is column `number` of `routed`; 0 if there is none.
int SameIn(const DeltaPlan& original, const Query& routed, int number) {
  if (number <= original.shown) return number;
  ListCell* cell;
  foreach (cell, original.query->targetList) {
    const auto* target = lfirst_node(TargetEntry, cell);
    if (!target->resjunk && equal(target->expr, ExpressionOf(routed, number))) return target->resno;
  }
  return 0;
}

// The number of the column of `routed` that is column `number` of `original`; 0 if there is none.
int NumberIn(const DeltaPlan& original, const Query& routed, int number) {
  ListCell* cell;
  foreach (cell, routed.targetList) {
    const auto* target = lfirst_node(TargetEntry, cell);
    if (!target->resjunk && SameIn(original, routed, target->resno) == number) return target->resno;
  }
  return 0;
}

bool HasSameKey(const DeltaPlan& original, const DeltaPlan& routed, List* routing_columns) {
  List* key = NIL;
  ListCell* cell;
  foreach (cell, routed.key)
    if (!list_member_int(routing_columns, lfirst_int(cell)))
      key = lappend_int(key, SameIn(original, *routed.query, lfirst_int(cell)));
  return original.bag == routed.bag && equal(key, original.key);
}

// What the column is in the result of one value; nullptr: not always the same.
Const* ValueIn(const DeltaRouting& routing, int number) {
  ListCell* cell;
  foreach (cell, RoutingColumns(routing.conditions))
    if (lfirst_int(cell) == number)
      return list_nth_node(Const, routing.values, foreach_current_index(cell));
  return nullptr;
}

Expr* NullLike(const Expr& expression) {
  const Node* node = reinterpret_cast<const Node*>(&expression);
  return reinterpret_cast<Expr*>(
      makeNullConst(exprType(node), exprTypmod(node), exprCollation(node)));
}

// The query as it was, with the columns of `routed`; nullptr if it lacks one.
Query* AsItWas(const DeltaPlan& original, const DeltaPlan& routed, const DeltaRouting& routing) {
  List* routing_columns = RoutingColumns(routing.conditions);
  if (!HasSameKey(original, routed, routing_columns)) return nullptr;
  Query* around = Wrapped(original.query);
  List* targets = NIL;
  ListCell* cell;
  foreach (cell, ResultColumns(routed.query->targetList)) {
    TargetEntry* target = flatCopyTargetEntry(lfirst_node(TargetEntry, cell));
    Const* value = target->resno > original.shown ? ValueIn(routing, target->resno) : nullptr;
    if (value != nullptr) {
      target->expr = reinterpret_cast<Expr*>(value);
    } else {
      const int same = SameIn(original, *routed.query, target->resno);
      if (same != 0)
        target->expr = get_tle_by_resno(around->targetList, static_cast<AttrNumber>(same))->expr;
      else if (!list_member_int(routed.key, target->resno))
        target->expr = NullLike(*target->expr);  // nobody reads it
      else
        return nullptr;
    }
    targets = lappend(targets, target);
  }
  around->targetList = targets;
  return around;
}

struct Routed {
  DeltaPlan delta;
  Query* first;  // what has the first result in the columns of that; nullptr: that itself
};

// Of a row that is there once for each value of the routing columns, the key in the result of one.
void NameRowsOfOneValue(const DeltaPlan& original, List* routing_columns, DeltaPlan* routed) {
  if (original.bag) return;
  List* key = NIL;
  ListCell* cell;
  foreach (cell, original.key) {
    const int number = NumberIn(original, *routed->query, lfirst_int(cell));
    if (number == 0) return;
    key = lappend_int(key, number);
  }
  routed->key = list_concat_unique_int(key, routing_columns);
  routed->bag = false;
}

bool IsByRules(const DeltaPlan& delta) {
  return delta.why_whole == nullptr && delta.refused == nullptr;
}

// With what can be routed taken out of the query, unless the whole of that would be evaluated.
// `query` is that of the plan, or the same with its memberships joined.
bool RouteQuery(const Query* query, Plan* plan, Routed* routed) {
  QuerySpec& spec = plan->spec;
  const DeltaRouting routing = RouteDelta(query);
  if (routing.conditions == NIL) return false;
  *routed = {PlanDelta(routing.query), nullptr};
  if (!IsByRules(routed->delta)) return false;
  if (routing.made_anew || query != spec.query) {
    const DeltaPlan original = PlanDelta(spec.query);
    if (!IsByRules(original)) return false;
    if (query != spec.query)
      NameRowsOfOneValue(original, RoutingColumns(routing.conditions), &routed->delta);
    if (routing.made_anew) routed->first = AsItWas(original, routed->delta, routing);
    if (routing.made_anew && routed->first == nullptr) return false;
  }
  spec.query = routing.query;
  spec.routing_conditions = routing.conditions;
  plan->routing = routing.values;
  return true;
}

bool PlanRouting(Plan* plan, Routed* routed) {
  // What is of the role is the same for all that share the template.
  const bool of_policies = plan->spec.dependencies.of_roles == NIL;
  const Query* joined = JoinMembers(plan->spec.query, of_policies);
  if (joined != nullptr && RouteQuery(joined, plan, routed)) return true;
  return RouteQuery(plan->spec.query, plan, routed);
}

Routed PlanRouted(Plan* plan) {
  Routed routed;
  if (PlanRouting(plan, &routed)) return routed;
  const DeltaPlan delta = PlanDelta(plan->spec.query);
  if (delta.refused != nullptr)
    Raise({ERRCODE_FEATURE_NOT_SUPPORTED, psprintf("cannot watch this query: %s", delta.refused),
           nullptr, delta.cure});
  return {delta, nullptr};
}

}  // namespace

void PlanDeltaStrategy(const AnalyzedQuery& analyzed, Plan* plan) {
  *plan = {};
  QuerySpec& spec = plan->spec;
  spec.query = analyzed.query;
  if (AsksClock(spec.query)) spec.refresh_ms = kDefaultRefreshMs;
  spec.dependencies = analyzed.dependencies;
  plan->frozen = analyzed.frozen;
  plan->sort_clause = spec.query->sortClause;  // routing may sort by another column first
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
  const Routed routed = PlanRouted(plan);
  const DeltaPlan& delta = routed.delta;
  spec.alarm = delta.asks_clock && WhyInSteps(delta) == nullptr;
  plan->strategy = delta.why_whole == nullptr ? Strategy::kDelta : Strategy::kRefresh;
  plan->why = delta.why_whole == nullptr
                  ? "what a change may have made stale is evaluated again"
                  : psprintf("the whole query is evaluated again: %s", delta.why_whole);
  DescribeResult(delta, shown, &spec);
  plan->query = routed.first != nullptr
                    ? Around(routed.first, spec.result_columns, NIL)
                    : Around(delta.query, spec.result_columns,
                             BindRouting(spec.routing_conditions, plan->routing));
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
