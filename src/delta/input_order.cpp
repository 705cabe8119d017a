// Passes columns of ORDER BY up through levels that only choose and compute. Process: client
// backend, evaluator.
#include "delta/input_order.hpp"

#include "analyze/total_order.hpp"
#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
}

namespace live_queries {
namespace {

// The number of the only entry that `query` reads, if that is a sub-select; 0 if it is not.
int OnlySubquery(const Query& query) {
  if (query.setOperations != nullptr) return 0;
  const List* from = query.jointree->fromlist;
  if (list_length(from) != 1 || !IsA(linitial(from), RangeTblRef)) return 0;
  const int index = castNode(RangeTblRef, linitial(from))->rtindex;
  return rt_fetch(index, query.rtable)->rtekind == RTE_SUBQUERY ? index : 0;
}

// Whether the rows of `query`, before LIMIT counts them off, stand in the order in which it reads.
bool KeepsOrderToLimit(const Query& query) {
  return !Groups(query) && !query.hasWindowFuncs && !query.hasTargetSRFs &&
         query.distinctClause == NIL;
}

bool KeepsOrder(const Query& query) {
  return KeepsOrderToLimit(query) && query.limitCount == nullptr && query.limitOffset == nullptr;
}

void NameColumns(RangeTblEntry* entry) {
  for (int n = list_length(entry->eref->colnames); n < list_length(entry->subquery->targetList);
       ++n) {
    const auto* target = list_nth_node(TargetEntry, entry->subquery->targetList, n);
    if (target->resjunk) break;
    entry->eref->colnames = lappend(entry->eref->colnames, makeString(pstrdup(target->resname)));
  }
}

// SortGroupClause of `query` in which each reference is the number of a result column instead.
List* OrderOfResult(Query* query) {
  List* order = NIL;
  ListCell* cell;
  if (query->sortClause != NIL) {
    foreach (cell, query->sortClause) {
      auto* clause = lfirst_node(SortGroupClause, cell);
      TargetEntry* target = get_sortgroupclause_tle(clause, query->targetList);
      clause = CopyOf(clause);
      clause->tleSortGroupRef =
          static_cast<Index>(target->resjunk ? SelectTarget(query, target) : target->resno);
      order = lappend(order, clause);
    }
    return order;
  }
  if (!KeepsOrder(*query)) return NIL;
  const InputOrder input = OrderOfInput(query);
  ListCell* column;
  forboth (column, input.columns, cell, input.clauses) {
    TargetEntry* target = makeTargetEntry(static_cast<Expr*>(lfirst(column)), 0, nullptr, true);
    SortGroupClause* clause = CopyOf(lfirst_node(SortGroupClause, cell));
    clause->tleSortGroupRef = static_cast<Index>(SelectTarget(query, target));
    order = lappend(order, clause);
  }
  return order;
}

void Append(const InputOrder& input, List** order, List** targets) {
  ListCell* column;
  ListCell* cell;
  forboth (column, input.columns, cell, input.clauses)
    AppendOrder(lfirst_node(SortGroupClause, cell), static_cast<Expr*>(lfirst(column)), order,
                targets);
}

}  // namespace

InputOrder OrderOfInput(Query* query) {
  InputOrder order = {NIL, NIL};
  const int index = OnlySubquery(*query);
  if (index == 0) return order;
  RangeTblEntry* entry = rt_fetch(index, query->rtable);
  order.clauses = OrderOfResult(entry->subquery);
  NameColumns(entry);
  ListCell* cell;
  foreach (cell, order.clauses) {
    TargetEntry* target = get_tle_by_resno(
        entry->subquery->targetList,
        static_cast<AttrNumber>(lfirst_node(SortGroupClause, cell)->tleSortGroupRef));
    order.columns = lappend(order.columns, makeVarFromTargetEntry(index, target));
  }
  return order;
}

void OrderLikeInput(const InputOrder& order, Aggref* aggregate) {
  Append(order, &aggregate->aggorder, &aggregate->args);
}

void OrderRowsLikeInput(Query* query) {
  if (KeepsOrderToLimit(*query))
    Append(OrderOfInput(query), &query->sortClause, &query->targetList);
}

}  // namespace live_queries
