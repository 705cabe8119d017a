// Pulls views and sub-selects over one table up into their outer query. The planner does the same
// (prepjointree.c), but on its own structures and not through security barriers; here a barrier
// only keeps the order in which conditions are evaluated. Process: client backend, decoder.
#include "query/flatten.hpp"

#include "pg/compat.hpp"
#include "query/tree.hpp"
#include "query/unsupported.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

void RequirePlain(const Query& query) {
  if (query.setOperations != nullptr) RaiseUnsupported("it contains UNION, INTERSECT or EXCEPT");
  if (query.cteList != NIL) RaiseUnsupported("it contains WITH");
  if (query.hasAggs || query.havingQual != nullptr) RaiseUnsupported("it contains aggregates");
  if (query.groupClause != NIL || query.groupingSets != NIL)
    RaiseUnsupported("it contains GROUP BY");
  if (query.hasWindowFuncs) RaiseUnsupported("it contains window functions");
  if (query.hasTargetSRFs) RaiseUnsupported("it contains set-returning functions");
  if (query.distinctClause != NIL) RaiseUnsupported("it contains DISTINCT");
  if (query.limitCount != nullptr || query.limitOffset != nullptr)
    RaiseUnsupported("it contains LIMIT or OFFSET");
  if (query.rowMarks != NIL) RaiseUnsupported("it locks rows (FOR UPDATE or FOR SHARE)");
  List* from = query.jointree->fromlist;
  if (from == NIL) RaiseUnsupported("it reads no table");
  if (list_length(from) > 1 || !IsA(linitial(from), RangeTblRef))
    RaiseUnsupported("it joins tables");
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

Node* ReplaceTrivialSublinks(Node* node, void* unused) {
  if (node == nullptr) return nullptr;
  if (IsA(node, SubLink)) {
    const Query* query = TrivialSubquery(*castNode(SubLink, node));
    if (query == nullptr)
      RaiseUnsupported("it contains a sub-select, or a policy on its table does");
    Node* expression = static_cast<Node*>(
        copyObjectImpl(castNode(TargetEntry, linitial(query->targetList))->expr));
    IncrementVarSublevelsUp(expression, -1, 1);
    return ReplaceTrivialSublinks(expression, unused);
  }
  return RewriteChildren(node, ReplaceTrivialSublinks, unused);
}

List* WithoutSublinks(List* list) {
  return castNode(List, ReplaceTrivialSublinks(reinterpret_cast<Node*>(list), nullptr));
}

// What one level adds to what it reads.
struct Level {
  List* quals;        // zero or one expression
  List* target_list;  // TargetEntry
};

Level TakeLevel(Query* query) {
  Level level{NIL, NIL};
  if (query->jointree->quals != nullptr) level.quals = list_make1(query->jointree->quals);
  if (level.quals != NIL) level.quals = WithoutSublinks(level.quals);
  if (query->targetList != NIL) level.target_list = WithoutSublinks(query->targetList);
  return level;
}

FlatQuery FlattenTable(Query* query, RangeTblEntry* table, int index) {
  if (table->tablesample != nullptr) RaiseUnsupported("it contains TABLESAMPLE");
  Level level = TakeLevel(query);
  List* barriers = NIL;
  ListCell* cell;
  foreach (cell, table->securityQuals) {
    List* quals = WithoutSublinks(list_make1(lfirst(cell)));
    ChangeVarNodes(reinterpret_cast<Node*>(quals), index, 1, 0);
    barriers = lappend(barriers, quals);
  }
  table->securityQuals = NIL;
  ChangeVarNodes(reinterpret_cast<Node*>(level.quals), index, 1, 0);
  ChangeVarNodes(reinterpret_cast<Node*>(level.target_list), index, 1, 0);
  auto stored = [&](List* list) { return WithoutVirtualColumns(list, table->relid, 1); };
  return {table,
          query,
          stored(barriers),
          stored(level.quals),
          stored(level.target_list),
          query->sortClause};
}

FlatQuery FlattenSubquery(Query* query, RangeTblEntry* entry, int index) {
  FlatQuery inner = Flatten(entry->subquery);
  Level level = TakeLevel(query);
  auto pull_up = [&](List* list) {
    return castNode(List,
                    ReplaceVars(reinterpret_cast<Node*>(list), index, entry, inner.target_list));
  };
  if (entry->security_barrier && inner.quals != NIL) {
    inner.barriers = lappend(inner.barriers, inner.quals);
    inner.quals = NIL;
  }
  if (level.quals != NIL) inner.quals = list_concat(inner.quals, pull_up(level.quals));
  inner.target_list = level.target_list == NIL ? NIL : pull_up(level.target_list);
  inner.sort_clause = query->sortClause;
  return inner;
}

}  // namespace

FlatQuery Flatten(Query* query) {
  if (query->commandType != CMD_SELECT) RaiseUnsupported("it is not a SELECT");
  RequirePlain(*query);
  const int index = castNode(RangeTblRef, linitial(query->jointree->fromlist))->rtindex;
  RangeTblEntry* entry = rt_fetch(index, query->rtable);
  switch (entry->rtekind) {
    case RTE_RELATION:
      return FlattenTable(query, entry, index);
    case RTE_SUBQUERY:
      return FlattenSubquery(query, entry, index);
    case RTE_FUNCTION:
    case RTE_TABLEFUNC:
      RaiseUnsupported("it reads from a function");
    case RTE_VALUES:
      RaiseUnsupported("it reads from VALUES");
    default:
      RaiseUnsupported("it reads something that is not a table");
  }
}

}  // namespace live_queries
