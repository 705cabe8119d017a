// UNION ALL: its rows are named by the number of the branch that they come from and by what names
// them there. Each branch gets columns for what names and restricts its own rows, which are NULL in
// the others. Process: client backend, evaluator.
#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"
#include "delta/restriction.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
}

namespace live_queries {
namespace {

bool IsUnionAll(Node* node) {
  if (!IsA(node, SetOperationStmt)) return true;
  const auto* operation = castNode(SetOperationStmt, node);
  return operation->op == SETOP_UNION && operation->all && IsUnionAll(operation->larg) &&
         IsUnionAll(operation->rarg);
}

// A column that a branch adds to all of them.
struct Added {
  int branch;     // from 0
  Expr* value;    // in that branch, as a level around it; nullptr: the number of each branch
  AttrNumber of;  // the branch's own column
};

Expr* ValueIn(const Added& added, int branch) {
  if (added.value == nullptr)
    return reinterpret_cast<Expr*>(
        makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(branch), false, true));
  if (added.branch == branch) return CopyOf(added.value);
  const Node* value = AsNode(added.value);
  return reinterpret_cast<Expr*>(
      makeNullConst(exprType(value), exprTypmod(value), exprCollation(value)));
}

// What is added for a branch: its key, and what its parts need. Each once, as of DISTINCT a, a.
List* ColumnsNeeded(const Level& level) {
  List* needed = list_concat_unique_int(NIL, level.key);
  ListCell* cell;
  foreach (cell, level.parts)
    needed = list_concat_unique_int(needed, static_cast<Part*>(lfirst(cell))->expressions);
  return needed;
}

void AddTypes(Node* node, const List* values) {
  if (!IsA(node, SetOperationStmt)) return;
  auto* operation = castNode(SetOperationStmt, node);
  AddTypes(operation->larg, values);
  AddTypes(operation->rarg, values);
  ListCell* cell;
  foreach (cell, values) {
    const Node* value = static_cast<Node*>(lfirst(cell));
    operation->colTypes = lappend_oid(operation->colTypes, exprType(value));
    operation->colTypmods = lappend_int(operation->colTypmods, exprTypmod(value));
    operation->colCollations = lappend_oid(operation->colCollations, exprCollation(value));
  }
}

char* HiddenName(int number) { return psprintf("?hidden %d", number); }

// A level around a branch, with the columns that are added.
void AddColumns(RangeTblEntry* entry, Query* branch, int number, const List* added,
                const SetOperationStmt& operation) {
  Query* around = Wrapped(branch);
  const int shown = list_length(operation.colTypes);
  around->targetList = list_truncate(around->targetList, shown);
  ListCell* cell;
  foreach (cell, around->targetList) {
    auto* target = lfirst_node(TargetEntry, cell);
    target->expr = AsType(target->expr, list_nth_oid(operation.colTypes, target->resno - 1));
  }
  foreach (cell, added) {
    const int resno = shown + foreach_current_index(cell) + 1;
    around->targetList =
        lappend(around->targetList,
                makeTargetEntry(ValueIn(*static_cast<Added*>(lfirst(cell)), number),
                                static_cast<AttrNumber>(resno), HiddenName(resno), false));
    entry->eref->colnames = lappend(entry->eref->colnames, makeString(HiddenName(resno)));
  }
  entry->subquery = around;
}

Added* MakeAdded(int branch, Expr* value, AttrNumber of) {
  Added* added = static_cast<Added*>(palloc(sizeof(Added)));
  *added = {branch, value, of};
  return added;
}

// The numbers that the columns `of` branch `branch` have in the result.
List* NumbersOf(const List* of, int branch, const List* added, int shown) {
  List* numbers = NIL;
  ListCell* cell;
  foreach (cell, of) {
    ListCell* other;
    foreach (other, added) {
      const auto& column = *static_cast<Added*>(lfirst(other));
      if (column.value != nullptr && column.branch == branch && column.of == lfirst_int(cell))
        numbers = lappend_int(numbers, shown + foreach_current_index(other) + 1);
    }
  }
  return numbers;
}

}  // namespace

bool HasBranches(const Query& query) {
  // What names and restricts the rows of one branch is a column of each, in a query for each part:
  // the size of the plan grows with the third power of their number.
  constexpr int kMostBranches = 32;
  return list_length(CombinedBy(query)) <= kMostBranches && IsUnionAll(query.setOperations) &&
         query.targetList != NIL && query.limitCount == nullptr && query.limitOffset == nullptr &&
         query.sortClause == NIL;
}

Level PlanUnionAll(Planner* planner, Query* query) {
  auto* operation = castNode(SetOperationStmt, query->setOperations);
  const int shown = list_length(operation->colTypes);
  List* levels = NIL;
  List* added = list_make1(MakeAdded(-1, nullptr, 0));
  Level result = {query, list_make1_int(shown + 1), false, NIL};
  List* branches = CombinedBy(*query);
  ListCell* cell;
  foreach (cell, branches) {
    const int branch = foreach_current_index(cell);
    Level* level = static_cast<Level*>(palloc(sizeof(Level)));
    *level = PlanLevel(planner, lfirst_node(RangeTblEntry, cell)->subquery);
    levels = lappend(levels, level);
    List* needed = ColumnsNeeded(*level);
    ListCell* column;
    foreach (column, needed) {
      const auto number = static_cast<AttrNumber>(lfirst_int(column));
      TargetEntry* target = get_tle_by_resno(level->query->targetList, number);
      // As in a level around it, of which the branch is the only entry.
      Expr* value = reinterpret_cast<Expr*>(makeVarFromTargetEntry(1, target));
      added = lappend(added, MakeAdded(branch, value, number));
    }
    result.bag = result.bag || level->bag;
    result.key = list_concat(result.key, NumbersOf(level->key, branch, added, shown));
    ListCell* part_cell;
    foreach (part_cell, level->parts) {
      const Part& part = *static_cast<Part*>(lfirst(part_cell));
      result.parts = lappend(result.parts,
                             MakePart(part.set, NumbersOf(part.expressions, branch, added, shown)));
    }
  }
  List* values = NIL;
  foreach (cell, added) values = lappend(values, ValueIn(*static_cast<Added*>(lfirst(cell)), 0));
  const auto* first = castNode(Var, linitial_node(TargetEntry, query->targetList)->expr);
  foreach (cell, branches)
    AddColumns(lfirst_node(RangeTblEntry, cell),
               static_cast<Level*>(list_nth(levels, foreach_current_index(cell)))->query,
               foreach_current_index(cell), added, *operation);
  AddTypes(query->setOperations, values);
  foreach (cell, values) {
    const int resno = shown + foreach_current_index(cell) + 1;
    const Node* value = static_cast<Node*>(lfirst(cell));
    Var* column = makeVar(first->varno, static_cast<AttrNumber>(resno), exprType(value),
                          exprTypmod(value), exprCollation(value), 0);
    query->targetList = lappend(query->targetList, makeTargetEntry(reinterpret_cast<Expr*>(column),
                                                                   static_cast<AttrNumber>(resno),
                                                                   HiddenName(resno), false));
  }
  return result;
}

}  // namespace live_queries
