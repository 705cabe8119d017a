// Only on the top level, and only where a level chooses, joins and groups: what limits, numbers or
// sorts out rows does that for one value at a time. Process: client backend, evaluator.
#include "query/delta_routing.hpp"

#include "query/functions.hpp"
#include "query/routing_conditions.hpp"
#include "query/tree.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

constexpr int kResult = 1;

bool CanRoute(const Query& query) {
  if (query.setOperations != nullptr || query.hasWindowFuncs || query.hasTargetSRFs) return false;
  if (query.distinctClause != NIL || query.groupingSets != NIL) return false;
  if (query.limitCount != nullptr || query.limitOffset != nullptr) return false;
  return !(query.hasAggs || query.havingQual != nullptr) || query.groupClause != NIL;
}

// The column of a condition as SplitRouting makes it.
Expr* ColumnOf(const OpExpr& condition) { return static_cast<Expr*>(linitial(condition.args)); }

// Whether grouping by the column tells its values apart as the condition does.
bool ComparesAlike(const OpExpr& condition) {
  return condition.inputcollid == exprCollation(AsNode(ColumnOf(condition)));
}

// For people.
char* NameOf(const Query& query, const Expr* column) {
  const Node* node = WithoutRelabel(const_cast<Node*>(reinterpret_cast<const Node*>(column)));
  const Var* var = castNode(Var, node);
  RangeTblEntry* entry = rt_fetch(var->varno, query.rtable);
  return pstrdup(get_rte_attribute_name(entry, var->varattno));
}

// The result column that `column` is, added if there is none. Those added later may move it.
TargetEntry* AddColumn(Query* query, const Expr* column) {
  ListCell* cell;
  foreach (cell, query->targetList) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    if (!target->resjunk && equal(target->expr, column)) return target;
  }
  TargetEntry* added =
      makeTargetEntry(static_cast<Expr*>(copyObjectImpl(column)), 0, NameOf(*query, column), false);
  // Before those that only sort.
  List* shown = NIL;
  List* hidden = NIL;
  foreach (cell, query->targetList) {
    List** list = lfirst_node(TargetEntry, cell)->resjunk ? &hidden : &shown;
    *list = lappend(*list, lfirst(cell));
  }
  query->targetList = list_concat(lappend(shown, added), hidden);
  foreach (cell, query->targetList)
    lfirst_node(TargetEntry, cell)->resno =
        static_cast<AttrNumber>(foreach_current_index(cell) + 1);
  return added;
}

void GroupBy(Query* query, TargetEntry* target) {
  if (query->groupClause == NIL) return;
  const Index reference = assignSortGroupRef(target, query->targetList);
  ListCell* cell;
  foreach (cell, query->groupClause)
    if (lfirst_node(SortGroupClause, cell)->tleSortGroupRef == reference) return;
  const TypeCacheEntry* type =
      lookup_type_cache(exprType(AsNode(target->expr)), TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR);
  SortGroupClause* clause = makeNode(SortGroupClause);
  clause->tleSortGroupRef = reference;
  clause->eqop = type->eq_opr;
  clause->sortop = type->lt_opr;
  clause->hashable = true;
  query->groupClause = lappend(query->groupClause, clause);
}

OpExpr* OnResult(const OpExpr& condition, const TargetEntry* target) {
  OpExpr* on_result = castNode(OpExpr, copyObjectImpl(&condition));
  linitial(on_result->args) = makeVarFromTargetEntry(kResult, const_cast<TargetEntry*>(target));
  return on_result;
}

}  // namespace

DeltaRouting RouteDelta(const Query* query) {
  DeltaRouting routing = {castNode(Query, copyObjectImpl(query)), NIL, NIL};
  if (!CanRoute(*query)) return routing;
  Node* quals = routing.query->jointree->quals;
  const RoutingConditions split =
      SplitRouting(make_ands_implicit(reinterpret_cast<Expr*>(quals)), false);
  ListCell* cell;
  foreach (cell, split.conditions)
    if (!ComparesAlike(*lfirst_node(OpExpr, cell))) return routing;
  List* targets = NIL;
  foreach (cell, split.conditions) {
    TargetEntry* target = AddColumn(routing.query, ColumnOf(*lfirst_node(OpExpr, cell)));
    GroupBy(routing.query, target);
    targets = lappend(targets, target);
  }
  // Their numbers are settled only now.
  foreach (cell, split.conditions) {
    const auto* target = static_cast<TargetEntry*>(list_nth(targets, foreach_current_index(cell)));
    routing.conditions = lappend(routing.conditions, OnResult(*lfirst_node(OpExpr, cell), target));
  }
  routing.values = split.values;
  routing.query->jointree->quals =
      split.quals == NIL ? nullptr : AsNode(make_ands_explicit(split.quals));
  return routing;
}

List* RoutingColumns(List* conditions) {
  List* numbers = NIL;
  ListCell* cell;
  foreach (cell, conditions)
    numbers =
        lappend_int(numbers, castNode(Var, linitial(lfirst_node(OpExpr, cell)->args))->varattno);
  return numbers;
}

List* BindRouting(List* conditions, List* values) {
  return castNode(List, BindParams(AsNode(conditions), values));
}

}  // namespace live_queries
