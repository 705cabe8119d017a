// Only on the top level. What groups, numbers or sorts out rows does that for each value apart once
// the column is among those that it does it by. Process: client backend, evaluator.
#include "delta/delta_routing.hpp"

#include "analyze/functions.hpp"
#include "analyze/routing_conditions.hpp"
#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"
#include "delta/value_by_value.hpp"
#include "pg/compat.hpp"

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
  return query.setOperations == nullptr && !query.hasTargetSRFs && query.groupingSets == NIL;
}

bool NeedsValueByValue(const Query& query) {
  return query.limitCount != nullptr || query.limitOffset != nullptr || GivesOneGroup(query);
}

// The column of a condition as SplitRouting makes it.
Expr* ColumnOf(const OpExpr& condition) { return static_cast<Expr*>(linitial(condition.args)); }

// Whether steps that tell rows apart by the column tell its values apart as the condition does.
bool ComparesAlike(const OpExpr& condition, const Query& query) {
  const Node* column = AsNode(ColumnOf(condition));
  if (condition.inputcollid != exprCollation(column)) return false;
  const bool is_ordered = query.hasWindowFuncs || query.distinctClause != NIL;
  return !is_ordered || OidIsValid(lookup_type_cache(exprType(column), TYPECACHE_LT_OPR)->lt_opr);
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
  TargetEntry* added = makeTargetEntry(CopyOf(column), 0, NameOf(*query, column), false);
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

SortGroupClause* ClauseOf(Query* query, TargetEntry* target) {
  const TypeCacheEntry* type =
      lookup_type_cache(exprType(AsNode(target->expr)), TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR);
  SortGroupClause* clause = makeNode(SortGroupClause);
  clause->tleSortGroupRef = assignSortGroupRef(target, query->targetList);
  clause->eqop = type->eq_opr;
  clause->sortop = type->lt_opr;
  clause->hashable = true;
  return clause;
}

bool IsAmong(const SortGroupClause& clause, List* clauses) {
  ListCell* cell;
  foreach (cell, clauses)
    if (lfirst_node(SortGroupClause, cell)->tleSortGroupRef == clause.tleSortGroupRef) return true;
  return false;
}

// Lets each step that tells rows apart tell them apart by the column, too.
void TellApartBy(Query* query, TargetEntry* target) {
  if (query->groupClause == NIL && query->windowClause == NIL && query->distinctClause == NIL)
    return;
  const SortGroupClause* clause = ClauseOf(query, target);
  auto with = [&](List* clauses) {
    return IsAmong(*clause, clauses) ? clauses : lappend(clauses, CopyOf(clause));
  };
  if (query->groupClause != NIL) query->groupClause = with(query->groupClause);
  ListCell* cell;
  foreach (cell, query->windowClause) {
    auto* window = lfirst_node(WindowClause, cell);
    window->partitionClause = with(window->partitionClause);
  }
  if (query->hasDistinctOn && !IsAmong(*clause, query->distinctClause)) {
    // It takes the first of each in the order of rows, which has to begin alike.
    query->distinctClause = lcons(CopyOf(clause), query->distinctClause);
    if (query->sortClause != NIL) query->sortClause = lcons(CopyOf(clause), query->sortClause);
  } else if (query->distinctClause != NIL) {
    query->distinctClause = with(query->distinctClause);
  }
}

OpExpr* OnResult(const OpExpr& condition, const TargetEntry* target) {
  OpExpr* on_result = CopyOf(&condition);
  linitial(on_result->args) = makeVarFromTargetEntry(kResult, const_cast<TargetEntry*>(target));
  return on_result;
}

// `routing` with the columns of the conditions among those of the result.
void RouteByColumns(const RoutingConditions& split, DeltaRouting* routing) {
  List* targets = NIL;
  ListCell* cell;
  foreach (cell, split.conditions) {
    TargetEntry* target = AddColumn(routing->query, ColumnOf(*lfirst_node(OpExpr, cell)));
    TellApartBy(routing->query, target);
    targets = lappend(targets, target);
  }
  // Their numbers are settled only now.
  foreach (cell, split.conditions) {
    const auto* target = static_cast<TargetEntry*>(list_nth(targets, foreach_current_index(cell)));
    routing->conditions =
        lappend(routing->conditions, OnResult(*lfirst_node(OpExpr, cell), target));
  }
}

void RouteByValues(const RoutingConditions& split, DeltaRouting* routing) {
  List* names = NIL;
  ListCell* cell;
  foreach (cell, split.conditions) {
    const Expr* column = ColumnOf(*lfirst_node(OpExpr, cell));
    names = lappend(names, makeString(NameOf(*routing->query, column)));
  }
  routing->query = ValueByValue(routing->query, split.conditions, names);
  if (routing->query == nullptr) return;
  routing->made_anew = true;
  const int first = list_length(routing->query->targetList) - list_length(names);
  foreach (cell, split.conditions) {
    const auto* target =
        list_nth_node(TargetEntry, routing->query->targetList, first + foreach_current_index(cell));
    routing->conditions =
        lappend(routing->conditions, OnResult(*lfirst_node(OpExpr, cell), target));
  }
}

}  // namespace

DeltaRouting RouteDelta(const Query* query) {
  DeltaRouting routing = {CopyOf(query), NIL, NIL, false};
  if (!CanRoute(*query)) return routing;
  Node* quals = routing.query->jointree->quals;
  const RoutingConditions split =
      SplitRouting(make_ands_implicit(reinterpret_cast<Expr*>(quals)), false);
  ListCell* cell;
  foreach (cell, split.conditions)
    if (!ComparesAlike(*lfirst_node(OpExpr, cell), *query)) return routing;
  if (split.conditions == NIL) return routing;
  routing.query->jointree->quals =
      split.quals == NIL ? nullptr : AsNode(make_ands_explicit(split.quals));
  routing.values = split.values;
  // So that a column that is grouped by is found among those of the result.
  FlattenGroupVars(routing.query);
  if (NeedsValueByValue(*query))
    RouteByValues(split, &routing);
  else
    RouteByColumns(split, &routing);
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
