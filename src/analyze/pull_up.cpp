// Goes from the innermost query level to the outermost: what a level gives is put in the place of
// what names it. Process: client backend, decoder.
#include "analyze/pull_up.hpp"

#include "analyze/total_order.hpp"
#include "analyze/tree.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

int SourceIndex(const Query& query) {
  return castNode(RangeTblRef, linitial(query.jointree->fromlist))->rtindex;
}

// A sub-select without FROM, as in (SELECT auth.uid()), is its expression.
const Query* TrivialSubquery(const SubLink& link) {
  if (link.subLinkType != EXPR_SUBLINK || !IsA(link.subselect, Query)) return nullptr;
  const Query* query = castNode(Query, link.subselect);
  const bool trivial = query->commandType == CMD_SELECT && query->jointree->fromlist == NIL &&
                       query->jointree->quals == nullptr && query->setOperations == nullptr &&
                       query->cteList == NIL && !query->hasAggs && !query->hasWindowFuncs &&
                       !query->hasTargetSRFs && query->havingQual == nullptr &&
                       query->groupClause == NIL && query->groupingSets == NIL &&
                       query->distinctClause == NIL && query->limitCount == nullptr &&
                       query->limitOffset == nullptr && list_length(query->targetList) == 1;
  return trivial ? query : nullptr;
}

// Lets what a level computes and asks of its table be without virtual generated columns.
void UseStoredColumns(Query* query, RangeTblEntry* table) {
  const int index = SourceIndex(*query);
  auto stored = [&](List* list) { return WithoutVirtualColumns(list, table->relid, index); };
  query->targetList = stored(query->targetList);
  table->securityQuals = stored(table->securityQuals);
  if (query->jointree->quals != nullptr)
    query->jointree->quals =
        static_cast<Node*>(linitial(stored(list_make1(query->jointree->quals))));
}

// Makes the conditions of a security barrier those of the table that it reads. False if it does not
// read one.
bool KeepBarrier(Query* barrier) {
  if (barrier->jointree->quals == nullptr) return true;
  RangeTblEntry* table = SourceOf(*barrier);
  if (table->rtekind != RTE_RELATION) return false;
  table->securityQuals = lappend(table->securityQuals, barrier->jointree->quals);
  barrier->jointree->quals = nullptr;
  return true;
}

// `order`, of `targets`, as one of `columns`, which get what it needs.
List* OrderOfColumns(const List* order, List* targets, List** columns) {
  List* result = NIL;
  ListCell* cell;
  foreach (cell, order) {
    auto* clause = lfirst_node(SortGroupClause, cell);
    AppendOrder(clause, get_sortgroupclause_tle(clause, targets)->expr, &result, columns);
  }
  return result;
}

// `query` and the level that is its source as one. Without an order it has that of the source.
Query* Merge(Query* query, Query* inner) {
  const int index = SourceIndex(*query);
  RangeTblEntry* entry = SourceOf(*query);
  IncrementVarSublevelsUp(AsNode(inner), -1, 1);
  auto replaced = [&](Node* node) {
    return node == nullptr ? nullptr : ReplaceVars(node, index, entry, inner->targetList);
  };
  Node* quals = replaced(query->jointree->quals);
  List* targets = inner->targetList;
  inner->targetList = castNode(List, replaced(AsNode(query->targetList)));
  inner->jointree->quals = make_and_qual(inner->jointree->quals, quals);
  inner->sortClause = query->sortClause != NIL
                          ? query->sortClause
                          : OrderOfColumns(inner->sortClause, targets, &inner->targetList);
  inner->windowClause = NIL;  // of functions that are not there
  inner->canSetTag = query->canSetTag;
  inner->hasRowSecurity = inner->hasRowSecurity || query->hasRowSecurity;
  return inner;
}

Query* MergeLevels(Query* query) {
  if (query->commandType != CMD_SELECT || WhyNotPlain(*query) != nullptr) return query;
  RangeTblEntry* entry = SourceOf(*query);
  if (entry->rtekind == RTE_RELATION) UseStoredColumns(query, entry);
  if (entry->rtekind != RTE_SUBQUERY) return query;
  Query* inner = entry->subquery;
  if (inner->commandType != CMD_SELECT || WhyNotPlain(*inner) != nullptr) return query;
  // 18 takes any sub-select that reads VALUES for one without conditions, as it is when parsed.
  if (SourceOf(*inner)->rtekind == RTE_VALUES) return query;
  if (entry->security_barrier && !KeepBarrier(inner)) return query;
  return Merge(query, inner);
}

// The expression that `node` is, as a sub-select; nullptr if it is another one, or none.
Node* TrivialExpression(Node* node) {
  const Query* trivial = IsA(node, SubLink) ? TrivialSubquery(*castNode(SubLink, node)) : nullptr;
  if (trivial == nullptr) return nullptr;
  Node* expression = AsNode(CopyOf(linitial_node(TargetEntry, trivial->targetList)->expr));
  IncrementVarSublevelsUp(expression, -1, 1);
  return expression;
}

Node* PullUpExpressionsIn(Node* node, void* unused) {
  if (node == nullptr || IsA(node, Query)) return node;
  if (Node* expression = TrivialExpression(node)) return PullUpExpressionsIn(expression, unused);
  return RewriteChildren(node, PullUpExpressionsIn, unused);
}

Node* PullUpIn(Node* node, void* unused) {
  if (node == nullptr) return nullptr;
  if (Node* expression = TrivialExpression(node)) return PullUpIn(expression, unused);
  node = RewriteChildren(node, PullUpIn, unused);
  if (!IsA(node, Query)) return node;
  Query* merged = MergeLevels(castNode(Query, node));
  merged->hasSubLinks = checkExprHasSubLink(AsNode(merged));
  return AsNode(merged);
}

}  // namespace

const char* WhyNotPlain(const Query& query) {
  if (query.setOperations != nullptr) return "it contains UNION, INTERSECT or EXCEPT";
  if (query.cteList != NIL) return "it contains WITH";
  if (query.hasAggs || query.havingQual != nullptr) return "it contains aggregates";
  if (query.groupClause != NIL || query.groupingSets != NIL) return "it contains GROUP BY";
  if (query.hasWindowFuncs) return "it contains window functions";
  if (query.hasTargetSRFs) return "it contains set-returning functions";
  if (query.distinctClause != NIL) return "it contains DISTINCT";
  if (query.limitCount != nullptr || query.limitOffset != nullptr)
    return "it contains LIMIT or OFFSET";
  if (query.rowMarks != NIL) return "it locks rows (FOR UPDATE or FOR SHARE)";
  List* from = query.jointree->fromlist;
  if (from == NIL) return "it reads no table";
  if (list_length(from) > 1 || !IsA(linitial(from), RangeTblRef)) return "it joins tables";
  return nullptr;
}

RangeTblEntry* SourceOf(const Query& query) { return rt_fetch(SourceIndex(query), query.rtable); }

List* PullUpExpressions(List* expressions) {
  return castNode(List, PullUpExpressionsIn(AsNode(expressions), nullptr));
}

Query* PullUp(Query* query) { return castNode(Query, PullUpIn(AsNode(query), nullptr)); }

}  // namespace live_queries
