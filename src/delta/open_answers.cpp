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
  Undecided* undecided;
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
    DecideAggregate(aggregate, context->undecided);
    if (!had_order && aggregate->aggorder != NIL) OrderLikeInput(aggregate, context);
  }
  return WalkChildren(node, DecideAggregatesIn, context);
}

void DecideAggregates(Query* query, Undecided* undecided) {
  if (!query->hasAggs) return;
  AggregateContext context = {query, false, {NIL, NIL}, undecided};
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

void RequireOneFormOfColumns(const SetOperationStmt& operation, Undecided* undecided) {
  for (int i = 0; i < list_length(operation.colTypes); ++i)
    if (!EqualMeansSame(list_nth_oid(operation.colTypes, i), list_nth_int(operation.colTypmods, i),
                        list_nth_oid(operation.colCollations, i)))
      Note(undecided,
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

void OrderByAll(List* expressions, Query* query) {
  ListCell* cell;
  foreach (cell, expressions)
    OrderAlsoBy(static_cast<Expr*>(lfirst(cell)), &query->sortClause, &query->targetList);
}

// DISTINCT shows the first of equal rows in an order by their texts.
void DecideDistinct(Query* query, Undecided* undecided) {
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
    return Note(undecided, "DISTINCT compares values that cannot be ordered", kCastCure);
  query->hasDistinctOn = true;
  OrderByDistinct(query);
  OrderByAll(columns, query);
}

// ----- LIMIT -----

void DecideLimit(Query* query, List* row_key, Undecided* undecided) {
  if (query->limitCount == nullptr && query->limitOffset == nullptr) return;
  if (query->limitOption == LIMIT_OPTION_WITH_TIES) {
    if (query->limitOffset != nullptr)
      Note(undecided, "it contains OFFSET with WITH TIES", "Use LIMIT, or no OFFSET.");
    return;
  }
  if (query->hasDistinctOn) return;  // one row each, and these are ordered
  if (query->setOperations == nullptr && query->distinctClause == NIL) {
    if (query->sortClause == NIL) OrderRowsLikeInput(query);
    return OrderByAll(row_key, query);
  }
  ListCell* cell;
  List* columns = Visible(query->targetList);
  foreach (cell, columns)
    if (!CanBeOrdered(static_cast<Expr*>(lfirst(cell))) ||
        !EqualMeansSame(static_cast<Expr*>(lfirst(cell))))
      return Note(undecided,
                  "LIMIT or OFFSET takes some of several rows that are equal but not the same",
                  kCastCure);
  OrderByAll(columns, query);
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
void DecideArray(const SubLink& link, Undecided* undecided) {
  auto* query = castNode(Query, link.subselect);
  if (query->setOperations == nullptr) {
    if (query->sortClause == NIL) OrderRowsLikeInput(query);
    return OrderByAll(Visible(query->targetList), query);
  }
  Expr* column = linitial_node(TargetEntry, query->targetList)->expr;
  if (!CanBeOrdered(column) || !EqualMeansSame(column))
    return Note(undecided, "an ARRAY(SELECT ...) has no order", kCastCure);
  OrderByAll(list_make1(column), query);
}

bool VisitAll(Node* node, Undecided* undecided) {
  if (node == nullptr) return false;
  (void)WalkChildren(node, VisitAll, undecided);
  if (IsA(node, Query)) {
    auto* query = castNode(Query, node);
    if (query->groupingSets == NIL) FlattenGroupVars(query);
    DecideLevel(query, nullptr, undecided);
  }
  if (IsA(node, SubLink) && castNode(SubLink, node)->subLinkType == ARRAY_SUBLINK)
    DecideArray(*castNode(SubLink, node), undecided);
  return false;
}

bool VisitInner(Node* node, Undecided* undecided) {
  if (node == nullptr) return false;
  if (IsA(node, SubLink)) return VisitAll(node, undecided);
  if (!IsA(node, Query) || castNode(Query, node)->setOperations == nullptr)
    return WalkChildren(node, VisitInner, undecided);
  ListCell* cell;
  foreach (cell, CombinedBy(*castNode(Query, node)))
    (void)VisitAll(AsNode(lfirst_node(RangeTblEntry, cell)->subquery), undecided);
  return false;
}

}  // namespace

void DecideLevel(Query* query, List* const* key, Undecided* undecided) {
  if (query->setOperations != nullptr && !IsUnionAll(query->setOperations))
    RequireOneFormOfColumns(*castNode(SetOperationStmt, query->setOperations), undecided);
  DecideAggregates(query, undecided);
  DecideGroups(query, undecided);
  List* groups = get_sortgrouplist_exprs(query->groupClause, query->targetList);
  const bool grouped = Groups(*query);
  if (query->groupingSets != NIL && query->hasWindowFuncs)
    Note(undecided, "it contains window functions of GROUPING SETS", "Put them into two levels.");
  if (key == nullptr && query->hasWindowFuncs && checkExprHasSubLink(AsNode(query->targetList)))
    Note(undecided, "it contains window functions and sub-selects of rows without a key",
         "Put them into two levels.");
  DecideWindows(query, grouped ? groups : key != nullptr ? *key : ColumnsUsed(query), undecided);
  // Rows that look the same need not be told apart any more.
  List* row_key = grouped && query->groupingSets == NIL ? groups
                  : key != nullptr && !grouped          ? *key
                                                        : Visible(query->targetList);
  if (query->hasDistinctOn) {
    OrderByDistinct(query);
    OrderByAll(row_key, query);
  } else if (query->distinctClause != NIL) {
    DecideDistinct(query, undecided);
  }
  DecideLimit(query, row_key, undecided);
}

void DecideAll(Query* query, Undecided* undecided) { (void)VisitAll(AsNode(query), undecided); }

void DecideInner(Query* query, Undecided* undecided) { (void)VisitInner(AsNode(query), undecided); }

}  // namespace live_queries
