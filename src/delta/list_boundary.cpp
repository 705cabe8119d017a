// What rows are ordered by is computed for rows that the query itself would perhaps not come to, of
// values that nobody asks for among them: so it is of what tables store, and raises no error.
// Process: client backend, evaluator.
#include "delta/list_boundary.hpp"

#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// Whether its rows are ordered and then counted, and nothing else, so often whatever is there.
bool OnlyCountsOff(const Query& level) {
  return level.commandType == CMD_SELECT && level.setOperations == nullptr && !Groups(level) &&
         !level.hasWindowFuncs && !level.hasTargetSRFs && level.distinctClause == NIL &&
         level.sortClause != NIL && level.limitOption == LIMIT_OPTION_COUNT;
}

// 0: it is not known, or all.
int64 RowsOf(const Query& level) {
  if (level.limitCount == nullptr || !IsA(level.limitCount, Const)) return 0;
  if (level.limitOffset != nullptr && !IsA(level.limitOffset, Const)) return 0;
  const auto* count = castNode(Const, level.limitCount);
  return count->constisnull ? 0 : DatumGetInt64(count->constvalue);
}

bool IsStored(const Var& column, const Query& level) {
  if (column.varlevelsup > 0 || column.varattno <= 0) return false;
  const RangeTblEntry& entry = *rt_fetch(column.varno, level.rtable);
  if (entry.rtekind != RTE_RELATION) return false;
  const char generated = get_attgenerated(entry.relid, column.varattno);
  return generated == '\0' || generated == ATTRIBUTE_GENERATED_STORED;
}

bool FindNotStored(Node* node, Query* level) {
  if (node == nullptr) return false;
  if (IsA(node, Var)) return !IsStored(*castNode(Var, node), *level);
  if (IsA(node, Param)) return true;
  return WalkChildren(node, FindNotStored, level);
}

// Whether comparing its values raises no error.
bool CanBeCompared(const Node* value, const SortGroupClause& clause) {
  const Oid type = getBaseType(exprType(value));
  const char kind = get_typtype(type);
  return clause.sortop < FirstUnpinnedObjectId && !OidIsValid(get_element_type(type)) &&
         (kind == TYPTYPE_BASE || kind == TYPTYPE_ENUM);
}

}  // namespace

ListBoundary* PlanBoundary(const Query& level) {
  const int64 rows = RowsOf(level);
  if (!OnlyCountsOff(level) || rows <= 0) return nullptr;
  ListBoundary* boundary = static_cast<ListBoundary*>(palloc0(sizeof(ListBoundary)));
  boundary->rows = rows;
  ListCell* cell;
  foreach (cell, level.sortClause) {
    auto* clause = lfirst_node(SortGroupClause, cell);
    Node* value = get_sortgroupclause_expr(clause, level.targetList);
    if (!CanBeCompared(value, *clause) || contain_leaked_vars(value) ||
        FindNotStored(value, const_cast<Query*>(&level)))
      return nullptr;
    boundary->values = lappend(boundary->values, CopyOf(value));
    boundary->clauses = lappend(boundary->clauses, CopyOf(clause));
  }
  return boundary;
}

List* SelectOrder(Query* query) {
  ListCell* cell;
  foreach (cell, query->sortClause) {
    TargetEntry* target =
        get_sortgroupclause_tle(lfirst_node(SortGroupClause, cell), query->targetList);
    if (target->resjunk) (void)SelectTarget(query, target);
  }
  List* numbers = NIL;
  foreach (cell, query->sortClause)
    numbers = lappend_int(
        numbers,
        get_sortgroupclause_tle(lfirst_node(SortGroupClause, cell), query->targetList)->resno);
  return numbers;
}

}  // namespace live_queries
