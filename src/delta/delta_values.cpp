// What is evaluated for one value of its routing columns after the other: stale are the values that
// stale rows have, before the level groups or limits them. Process: client backend, evaluator.
#include "analyze/equal_values.hpp"
#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"
#include "delta/list_boundary.hpp"
#include "delta/open_groups.hpp"
#include "delta/restriction.hpp"
#include "delta/small_key.hpp"
#include "delta/value_by_value.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
}

namespace live_queries {
namespace {

// The sides of conditions that are not the value.
List* ColumnsOf(List* tests) {
  List* columns = NIL;
  ListCell* cell;
  foreach (cell, tests) columns = lappend(columns, linitial(lfirst_node(OpExpr, cell)->args));
  return columns;
}

// Whether the lists of their values can be told apart by their bytes: those of rows, and those that
// somebody watches, which no type modifier has given the form of the column.
bool HaveOneImageEach(List* columns) {
  ListCell* cell;
  foreach (cell, columns) {
    const Node* column = static_cast<Node*>(lfirst(cell));
    if (!HaveOneImage(reinterpret_cast<const Expr*>(column)) ||
        !EqualMeansSame(exprType(column), -1, exprCollation(column)))
      return false;
  }
  return true;
}

// What names the rows of one value, once they are grouped and so on.
void NameRows(Planner* planner, const Query* level, PlannedRelation* relation) {
  if (level->hasTargetSRFs) GiveUp(planner, "it contains set-returning functions");
  if (Groups(*level)) {
    relation->key = ShownGroups(*level);
    relation->bag = false;
    // They are evaluated whatever is there of a value.
    if (GivesOneGroup(*level) &&
        (checkExprHasSubLink(AsNode(level->targetList)) || checkExprHasSubLink(level->havingQual)))
      GiveUp(planner, "sub-selects stand beside the aggregates of one value");
  }
  if (level->distinctClause == NIL) return;
  relation->key = get_sortgrouplist_exprs(level->distinctClause, level->targetList);
  relation->bag = false;
  if (contain_windowfuncs(AsNode(relation->key)))
    GiveUp(planner, "it contains DISTINCT of window functions");
}

// Reads the values that somebody watches from the parameters of `set`.
void ReadValues(Planner* planner, const Query* query, const StaleSet& set) {
  ListCell* cell;
  ListCell* column_cell;
  List* sources = SourcesOfValues(*query);
  forboth (cell, sources, column_cell, set.columns) {
    const auto& column = *static_cast<SetColumn*>(lfirst(column_cell));
    Node** argument = reinterpret_cast<Node**>(&linitial(lfirst_node(FuncExpr, cell)->args));
    if (column.type != lfirst_node(FuncExpr, cell)->funcresulttype)
      GiveUp(planner, "the values that are watched are of another type");
    else
      *argument = AsNode(MakeParam(column.param, column.array_type));
  }
}

// The column of `query` that is that one of an entry; nullptr: there is none.
const TargetEntry* ColumnIn(const Query& query, int entry, AttrNumber number) {
  ListCell* cell;
  foreach (cell, query.targetList) {
    const auto* target = lfirst_node(TargetEntry, cell);
    const auto* column = reinterpret_cast<const Var*>(target->expr);
    if (IsA(column, Var) && column->varno == entry && column->varattno == number) return target;
  }
  return nullptr;
}

// The numbers of the columns `numbers` of `level` in the result of `query`, to which they are added
// where it lacks them.
List* NumbersIn(Query* query, const Query& level, int shown, List* numbers) {
  RangeTblEntry* entry = llast_node(RangeTblEntry, query->rtable);
  List* in_query = NIL;
  ListCell* cell;
  foreach (cell, numbers) {
    const auto number = static_cast<AttrNumber>(lfirst_int(cell));
    if (number <= shown) {
      in_query = lappend_int(in_query, number);
      continue;
    }
    const TargetEntry* known = ColumnIn(*query, list_length(query->rtable), number);
    if (known != nullptr) {
      in_query = lappend_int(in_query, known->resno);
      continue;
    }
    TargetEntry* target = get_tle_by_resno(level.targetList, number);
    const auto resno = static_cast<AttrNumber>(list_length(query->targetList) + 1);
    Var* column = makeVarFromTargetEntry(list_length(query->rtable), target);
    query->targetList =
        lappend(query->targetList, makeTargetEntry(reinterpret_cast<Expr*>(column), resno,
                                                   psprintf("?hidden %d", resno), false));
    in_query = lappend_int(in_query, resno);
  }
  for (int n = list_length(entry->eref->colnames); n < list_length(Visible(level.targetList)); ++n)
    entry->eref->colnames =
        lappend(entry->eref->colnames, makeString(psprintf("?hidden %d", n + 1)));
  return in_query;
}

}  // namespace

Level PlanValueByValue(Planner* planner, Query* query) {
  Query* level = const_cast<Query*>(&LevelOfValue(*query));
  const int shown = list_length(Visible(level->targetList));
  PrepareLevel(level);
  Node* all_quals = CopyOf(level->jointree->quals);
  List* tests = TakeOutValues(level);
  PlannedRelation relation = PlanFrom(planner, level, AsNode(level->jointree));
  Node* quals = level->jointree->quals;
  level->jointree->quals = all_quals;
  if (!relation.bag) relation.key = SmallKey(level, relation.key);
  level->jointree->quals = quals;
  PlanSubLinks(planner, level, &relation);
  DecideOpen(planner, level, &relation);
  NameRows(planner, level, &relation);
  planner->grouped = relation.parts;
  if (HaveOneImageEach(ColumnsOf(tests))) planner->boundary = PlanBoundary(*level);
  if (planner->boundary != nullptr)
    CoarsenToLists(planner, level, ColumnsOf(tests), &relation);
  else
    Coarsen(planner, level, Step::kGroup, ColumnsOf(tests), &relation);
  if (relation.parts == NIL) {
    GiveUp(planner, "nothing of it can be stale");
    return {query, NIL, true, NIL};
  }
  const int number = static_cast<Part*>(linitial(relation.parts))->set;
  auto* set = static_cast<StaleSet*>(list_nth(planner->sets, number));
  set->of_routes = true;
  ReadValues(planner, query, *set);
  relation.parts = NIL;
  const Level of_value = Finish(level, relation);
  List* order = planner->boundary == nullptr ? NIL : SelectOrder(level);
  quals = level->jointree->quals;
  List* conjuncts = list_concat(make_ands_implicit(reinterpret_cast<Expr*>(quals)), tests);
  level->jointree->quals = AsNode(make_ands_explicit(conjuncts));
  List* key = NumbersIn(query, *level, shown, of_value.key);
  if (planner->boundary != nullptr)
    planner->boundary->columns = NumbersIn(query, *level, shown, order);
  return {query, key, of_value.bag, list_make1(MakePart(number, NIL))};
}

}  // namespace live_queries
