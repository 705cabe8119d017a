// Level by level. Process: client backend, evaluator.
#include "delta/open_answers.hpp"

#include "analyze/equal_values.hpp"
#include "analyze/total_order.hpp"
#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"
#include "delta/input_order.hpp"
#include "delta/open_aggregates.hpp"
#include "delta/open_groups.hpp"
#include "delta/open_windows.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
}

namespace live_queries {
namespace {

// ----- aggregates -----

struct AggregateContext {
  Query* query;
  bool searched;  // for the order in which it reads
  InputOrder input;
  Decisions* decisions;
};

// An order of the input, before the one that decides.
void OrderLikeInput(Aggref* aggregate, AggregateContext* context) {
  if (!context->searched) context->input = OrderOfInput(context->query);
  context->searched = true;
  List* order = aggregate->aggorder;
  aggregate->aggorder = NIL;
  OrderLikeInput(context->input, aggregate);
  ListCell* cell;
  foreach (cell, order) {
    auto* clause = lfirst_node(SortGroupClause, cell);
    if (!targetIsInSortList(get_sortgroupclause_tle(clause, aggregate->args), InvalidOid,
                            aggregate->aggorder))
      aggregate->aggorder = lappend(aggregate->aggorder, clause);
  }
}

bool DecideAggregatesIn(Node* node, AggregateContext* context) {
  if (node == nullptr || IsA(node, Query)) return false;
  if (IsA(node, Aggref)) {
    auto* aggregate = castNode(Aggref, node);
    const bool had_order = aggregate->aggorder != NIL;
    DecideAggregate(aggregate, context->decisions);
    if (!had_order && aggregate->aggorder != NIL) OrderLikeInput(aggregate, context);
  }
  return WalkChildren(node, DecideAggregatesIn, context);
}

void DecideAggregates(Query* query, Decisions* decisions) {
  if (!query->hasAggs) return;
  AggregateContext context = {query, false, {NIL, NIL}, decisions};
  (void)DecideAggregatesIn(AsNode(query->targetList), &context);
  (void)DecideAggregatesIn(query->havingQual, &context);
}

// ----- set operations -----

bool IsUnionAll(Node* node) {
  if (!IsA(node, SetOperationStmt)) return true;
  const auto* operation = castNode(SetOperationStmt, node);
  return operation->op == SETOP_UNION && operation->all && IsUnionAll(operation->larg) &&
         IsUnionAll(operation->rarg);
}

void RequireOneFormOfColumns(const SetOperationStmt& operation, Decisions* decisions) {
  for (int i = 0; i < list_length(operation.colTypes); ++i)
    if (!EqualMeansSame(list_nth_oid(operation.colTypes, i), list_nth_int(operation.colTypmods, i),
                        list_nth_oid(operation.colCollations, i)))
      LeaveOpen(
          decisions,
          "UNION, INTERSECT or EXCEPT compares values that can be equal but not the same, such as "
          "1.0 and 1.00",
          kCastCure);
}

// ----- DISTINCT -----

// Lets the order of a DISTINCT ON begin with its expressions.
void OrderByDistinct(Query* query) {
  List* in_order = NIL;
  ListCell* cell;
  foreach (cell, query->sortClause) {
    auto* clause = lfirst_node(SortGroupClause, cell);
    ListCell* other;
    foreach (other, query->distinctClause)
      if (lfirst_node(SortGroupClause, other)->tleSortGroupRef == clause->tleSortGroupRef)
        in_order = lappend(in_order, CopyOf(clause));
  }
  foreach (cell, query->distinctClause) {
    auto* clause = lfirst_node(SortGroupClause, cell);
    if (targetIsInSortList(get_sortgroupclause_tle(clause, query->targetList), InvalidOid,
                           query->sortClause))
      continue;
    in_order = lappend(in_order, CopyOf(clause));
    query->sortClause = lappend(query->sortClause, CopyOf(clause));
  }
  query->distinctClause = in_order;
}

// What is `how` decided by that, if there was no such order.
void OrderByAll(List* expressions, const char* how, Query* query, Decisions* decisions) {
  const int ordered = list_length(query->sortClause);
  ListCell* cell;
  foreach (cell, expressions)
    OrderAlsoBy(static_cast<Expr*>(lfirst(cell)), &query->sortClause, &query->targetList);
  if (list_length(query->sortClause) > ordered) Decide(decisions, how);
}

// DISTINCT shows the first of equal rows in an order by their texts.
void DecideDistinct(Query* query, Decisions* decisions) {
  List* columns = get_sortgrouplist_exprs(query->distinctClause, query->targetList);
  bool same = true;
  bool ordered = true;
  ListCell* cell;
  foreach (cell, columns) {
    same = same && EqualMeansSame(static_cast<Expr*>(lfirst(cell)));
    ordered = ordered && CanBeOrdered(static_cast<Expr*>(lfirst(cell)));
  }
  if (same) return;
  if (!ordered)
    return LeaveOpen(decisions, "DISTINCT compares values that cannot be ordered", kCastCure);
  query->hasDistinctOn = true;
  OrderByDistinct(query);
  OrderByAll(
      columns,
      "DISTINCT: of rows that are equal but not the same, the first one by their texts is shown",
      query, decisions);
}

// ----- LIMIT -----

void DecideLimit(Query* query, List* row_key, Decisions* decisions) {
  if (query->limitCount == nullptr && query->limitOffset == nullptr) return;
  if (query->limitOption == LIMIT_OPTION_WITH_TIES) {
    if (query->limitOffset != nullptr)
      LeaveOpen(decisions, "it contains OFFSET with WITH TIES", "Use LIMIT, or no OFFSET.");
    return;
  }
  if (query->hasDistinctOn) return;  // one row each, and these are ordered
  constexpr const char* kByRows =
      "LIMIT: of rows that are equal in its order, the first ones by what tells them apart are "
      "taken";
  if (query->setOperations == nullptr && query->distinctClause == NIL) {
    if (query->sortClause == NIL) OrderRowsLikeInput(query);
    return OrderByAll(row_key, kByRows, query, decisions);
  }
  ListCell* cell;
  List* columns = Visible(query->targetList);
  foreach (cell, columns)
    if (!CanBeOrdered(static_cast<Expr*>(lfirst(cell))) ||
        !EqualMeansSame(static_cast<Expr*>(lfirst(cell))))
      return LeaveOpen(decisions,
                       "LIMIT or OFFSET takes some of several rows that are equal but not the same",
                       kCastCure);
  OrderByAll(columns, kByRows, query, decisions);
}

// ----- a level -----

bool CollectColumns(Node* node, List** used) {
  if (node == nullptr || IsA(node, Query)) return false;
  // A column from around the level is one value in it.
  if (IsA(node, Var) && castNode(Var, node)->varlevelsup == 0)
    *used = list_append_unique(*used, node);
  return WalkChildren(node, CollectColumns, used);
}

List* ColumnsUsed(const Query* query) {
  List* used = NIL;
  (void)CollectColumns(AsNode(query->targetList), &used);
  return used;
}

// What ARRAY(SELECT ...) holds is in the order of the sub-select.
void DecideArray(const SubLink& link, Decisions* decisions) {
  constexpr const char* kByValues =
      "ARRAY(SELECT ...): values that are equal in its order come in their own";
  auto* query = castNode(Query, link.subselect);
  if (query->setOperations == nullptr) {
    if (query->sortClause == NIL) OrderRowsLikeInput(query);
    return OrderByAll(Visible(query->targetList), kByValues, query, decisions);
  }
  Expr* column = linitial_node(TargetEntry, query->targetList)->expr;
  if (!CanBeOrdered(column) || !EqualMeansSame(column))
    return LeaveOpen(decisions, "an ARRAY(SELECT ...) has no order", kCastCure);
  OrderByAll(list_make1(column), kByValues, query, decisions);
}

bool VisitAll(Node* node, Decisions* decisions) {
  if (node == nullptr) return false;
  (void)WalkChildren(node, VisitAll, decisions);
  if (IsA(node, Query)) {
    auto* query = castNode(Query, node);
    if (query->groupingSets == NIL) FlattenGroupVars(query);
    DecideLevel(query, nullptr, decisions);
  }
  if (IsA(node, SubLink) && castNode(SubLink, node)->subLinkType == ARRAY_SUBLINK)
    DecideArray(*castNode(SubLink, node), decisions);
  return false;
}

bool VisitInner(Node* node, Decisions* decisions) {
  if (node == nullptr) return false;
  if (IsA(node, SubLink)) return VisitAll(node, decisions);
  if (!IsA(node, Query) || castNode(Query, node)->setOperations == nullptr)
    return WalkChildren(node, VisitInner, decisions);
  ListCell* cell;
  foreach (cell, CombinedBy(*castNode(Query, node)))
    (void)VisitAll(AsNode(lfirst_node(RangeTblEntry, cell)->subquery), decisions);
  return false;
}

}  // namespace

void DecideLevel(Query* query, List* const* key, Decisions* decisions) {
  if (query->setOperations != nullptr && !IsUnionAll(query->setOperations))
    RequireOneFormOfColumns(*castNode(SetOperationStmt, query->setOperations), decisions);
  DecideAggregates(query, decisions);
  DecideGroups(query, decisions);
  List* groups = get_sortgrouplist_exprs(query->groupClause, query->targetList);
  const bool grouped = Groups(*query);
  if (query->groupingSets != NIL && query->hasWindowFuncs)
    LeaveOpen(decisions, "it contains window functions of GROUPING SETS",
              "Put them into two levels.");
  if (key == nullptr && query->hasWindowFuncs && checkExprHasSubLink(AsNode(query->targetList)))
    LeaveOpen(decisions, "it contains window functions and sub-selects of rows without a key",
              "Put them into two levels.");
  DecideWindows(query, grouped ? groups : key != nullptr ? *key : ColumnsUsed(query), decisions);
  // Rows that look the same need not be told apart any more.
  List* row_key = grouped && query->groupingSets == NIL ? groups
                  : key != nullptr && !grouped          ? *key
                                                        : Visible(query->targetList);
  if (query->hasDistinctOn) {
    OrderByDistinct(query);
    OrderByAll(row_key,
               "DISTINCT ON: of rows that are equal in its order, the first one by what tells them "
               "apart is shown",
               query, decisions);
  } else if (query->distinctClause != NIL) {
    DecideDistinct(query, decisions);
  }
  DecideLimit(query, row_key, decisions);
}

void DecideAll(Query* query, Decisions* decisions) { (void)VisitAll(AsNode(query), decisions); }

void DecideInner(Query* query, Decisions* decisions) { (void)VisitInner(AsNode(query), decisions); }

}  // namespace live_queries
