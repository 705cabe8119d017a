// One level of a query, from what it reads to what it gives: grouping, windows, DISTINCT, LIMIT,
// set operations, and the hidden columns that the level around it has to know. Process: client
// backend, evaluator.
#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"
#include "delta/list_boundary.hpp"
#include "delta/open_answers.hpp"
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

// Those by which every window is partitioned, and that stand for what the level reads.
List* CommonPartition(const Query& query) {
  List* common = NIL;
  ListCell* window;
  foreach (window, query.windowClause) {
    List* these = get_sortgrouplist_exprs(lfirst_node(WindowClause, window)->partitionClause,
                                          query.targetList);
    common = foreach_current_index(window) == 0 ? these : list_intersection(common, these);
  }
  List* kept = NIL;
  ListCell* cell;
  foreach (cell, common)
    if (!contain_aggs_of_level(static_cast<Node*>(lfirst(cell)), 0))
      kept = lappend(kept, lfirst(cell));
  return kept;
}

// What is stale of a level that selects, groups and so on from `relation`.
void PlanSteps(Planner* planner, const Query* query, PlannedRelation* relation) {
  if (query->hasTargetSRFs) GiveUp(planner, "it contains set-returning functions");
  if (Groups(*query)) {
    relation->key = get_sortgrouplist_exprs(query->groupClause, query->targetList);
    relation->bag = false;
    if (query == planner->outermost) planner->grouped = relation->parts;
    Coarsen(planner, query, Step::kGroup, relation->key, relation);
    relation->key = ShownGroups(*query);
    PlanGroupSubLinks(planner, query, relation);
  }
  if (query->hasWindowFuncs)
    Coarsen(planner, query, Step::kWindow, CommonPartition(*query), relation);
  if (query->distinctClause != NIL) {
    relation->key = get_sortgrouplist_exprs(query->distinctClause, query->targetList);
    relation->bag = false;
    if (contain_windowfuncs(AsNode(relation->key)))
      GiveUp(planner, "it contains DISTINCT of window functions");
    Coarsen(planner, query, Step::kDistinct, relation->key, relation);
  }
  if (query->limitCount == nullptr && query->limitOffset == nullptr) return;
  const bool gives_list = query == planner->outermost;
  if (gives_list) planner->boundary = PlanBoundary(*query);
  if (gives_list && planner->boundary != nullptr)
    CoarsenToLists(planner, query, NIL, relation);
  else
    Coarsen(planner, query, Step::kLimit, NIL, relation);
}

// ----- hidden columns -----

// The number of the result column that is `expression`, which is added if there is none.
AttrNumber HiddenColumn(Query* query, Expr* expression) {
  TargetEntry* found = nullptr;
  ListCell* cell;
  foreach (cell, query->targetList) {
    auto* target = lfirst_node(TargetEntry, cell);
    if (!equal(target->expr, expression)) continue;
    if (!target->resjunk) return target->resno;
    found = target;
  }
  if (found == nullptr) found = makeTargetEntry(CopyOf(expression), 0, nullptr, true);
  return SelectTarget(query, found);
}

List* HiddenColumns(Query* query, List* expressions) {
  List* numbers = NIL;
  ListCell* cell;
  foreach (cell, expressions)
    numbers = lappend_int(numbers, HiddenColumn(query, static_cast<Expr*>(lfirst(cell))));
  return numbers;
}

// ----- set operations -----

// Whether what is combined gets the types and collations of the result at once.
bool ConvertsOnce(Node* node, const SetOperationStmt& top) {
  if (!IsA(node, SetOperationStmt)) return true;
  const auto* operation = castNode(SetOperationStmt, node);
  return equal(operation->colTypes, top.colTypes) &&
         equal(operation->colCollations, top.colCollations) && ConvertsOnce(operation->larg, top) &&
         ConvertsOnce(operation->rarg, top);
}

// The stale rows of `level`, a leaf, as what they are in the result of `operation`.
List* ProbeLeaf(const Planner& planner, const Level& level, const SetOperationStmt& operation) {
  List* probe = NIL;
  ListCell* cell;
  foreach (cell, level.parts) {
    const Part part = InExpressions(*static_cast<Part*>(lfirst(cell)), *level.query);
    Query* rows = CopyOf(level.query);
    RestrictTo(rows, planner, part);
    rows = Wrapped(rows);
    rows->targetList = list_truncate(rows->targetList, list_length(operation.colTypes));
    ListCell* target_cell;
    foreach (target_cell, rows->targetList) {
      auto* target = lfirst_node(TargetEntry, target_cell);
      target->expr = AsType(target->expr, list_nth_oid(operation.colTypes, target->resno - 1));
    }
    probe = lappend(probe, MakeRestricted(part.set, rows));
  }
  return probe;
}

Level PlanSetOperation(Planner* planner, Query* query) {
  const auto& operation = *castNode(SetOperationStmt, query->setOperations);
  if (!ConvertsOnce(query->setOperations, operation))
    GiveUp(planner, "it contains set operations that convert a column twice");
  else if (HasBranches(*query))
    return PlanUnionAll(planner, query);
  const bool decided = planner->decided;
  planner->decided = true;
  List* probe = NIL;
  ListCell* cell;
  foreach (cell, CombinedBy(*query)) {
    const Level leaf = PlanLevel(planner, CopyOf(lfirst_node(RangeTblEntry, cell)->subquery));
    probe = list_concat(probe, ProbeLeaf(*planner, leaf, operation));
  }
  planner->decided = decided;
  PlannedRelation relation = {Visible(query->targetList), operation.all, NIL};
  AddPart(planner, relation.key, probe, &relation);
  if (query->limitCount != nullptr || query->limitOffset != nullptr)
    Coarsen(planner, query, Step::kLimit, NIL, &relation);
  return Finish(query, relation);
}

}  // namespace

void CoarsenToLists(Planner* planner, const Query* query, List* routes, PlannedRelation* relation) {
  Coarsen(planner, query, Step::kGroup, routes, relation, planner->boundary->values);
  if (relation->parts == NIL)
    planner->boundary = nullptr;
  else
    planner->boundary->set = static_cast<Part*>(linitial(relation->parts))->set;
}

void Coarsen(Planner* planner, const Query* query, Step first, List* expressions,
             PlannedRelation* relation, List* beside) {
  List* probe = NIL;
  List* selected = list_concat_copy(expressions, beside);
  ListCell* cell;
  foreach (cell, relation->parts) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    Query* rows = Selecting(query, first, selected);
    RestrictTo(rows, *planner, part);
    probe = lappend(probe, MakeRestricted(part.set, rows));
  }
  relation->parts = NIL;
  AddPart(planner, expressions, probe, relation);
}

Level Finish(Query* query, const PlannedRelation& relation) {
  Level level = {query, HiddenColumns(query, relation.key), relation.bag, NIL};
  ListCell* cell;
  foreach (cell, relation.parts) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    level.parts = lappend(level.parts, MakePart(part.set, HiddenColumns(query, part.expressions)));
  }
  return level;
}

// One that has been decided is planned without knowing the key: rows that look the same may have
// each other's place in a window.
void DecideOpen(Planner* planner, Query* query, PlannedRelation* relation) {
  if (!planner->decided) {
    Decisions decisions = {};
    DecideLevel(query, relation->bag ? nullptr : &relation->key, &decisions);
    TakeDecisions(decisions, planner);
  } else if (query->hasWindowFuncs || query->limitCount != nullptr ||
             query->limitOffset != nullptr) {
    relation->bag = true;
  }
}

Part InExpressions(const Part& part, const Query& query) {
  List* expressions = NIL;
  ListCell* cell;
  foreach (cell, part.expressions)
    expressions = lappend(
        expressions,
        get_tle_by_resno(query.targetList, static_cast<AttrNumber>(lfirst_int(cell)))->expr);
  return {part.set, expressions};
}

Level PlanLevel(Planner* planner, Query* query) {
  if (IsValueByValue(*query)) return PlanValueByValue(planner, query);
  if (query->setOperations != nullptr) {
    PlannedRelation columns = {NIL, true, NIL};
    DecideOpen(planner, query, &columns);
    return PlanSetOperation(planner, query);
  }
  PrepareLevel(query);
  PlannedRelation relation = PlanFrom(planner, query, AsNode(query->jointree));
  if (!relation.bag) relation.key = SmallKey(query, relation.key);
  PlanSubLinks(planner, query, &relation);
  DecideOpen(planner, query, &relation);
  PlanSteps(planner, query, &relation);
  const Level level = Finish(query, relation);
  if (query == planner->outermost && planner->boundary != nullptr)
    planner->boundary->columns = SelectOrder(query);
  return level;
}

}  // namespace live_queries
