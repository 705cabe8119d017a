// LATERAL: an item of FROM that is computed for each row of what stands before it. It is stale for
// the rows for which what feeds it is, as a sub-select would be. Process: client backend,
// evaluator.
#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"
#include "delta/open_answers.hpp"

extern "C" {
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
}

namespace live_queries {
namespace {

// What an item computes, and how many levels deeper it stands than the query.
Node* ComputedBy(const RangeTblEntry& entry, int* depth) {
  *depth = entry.rtekind == RTE_SUBQUERY ? 1 : 0;
  switch (entry.rtekind) {
    case RTE_SUBQUERY:
      return AsNode(entry.subquery);
    case RTE_FUNCTION:
      return AsNode(entry.functions);
    case RTE_VALUES:
      return AsNode(entry.values_lists);
    default:
      return AsNode(entry.tablefunc);
  }
}

bool GivesOneRow(const Query& query) {
  if (query.setOperations == nullptr && GivesOneGroup(query) && !query.hasTargetSRFs) return true;
  if (query.limitCount == nullptr || !IsA(query.limitCount, Const)) return false;
  const Const* count = castNode(Const, query.limitCount);
  return !count->constisnull && DatumGetInt64(count->constvalue) <= 1 &&
         query.limitOption == LIMIT_OPTION_COUNT;
}

void PlanBody(Planner* planner, const Query* query, RangeTblEntry* entry, List* sources,
              PlannedRelation* outer) {
  if (!planner->decided) {
    Decisions decisions = {};
    DecideAll(entry->subquery, &decisions);
    TakeDecisions(decisions, planner);
  }
  PlanExists(planner, query, entry->subquery, sources, outer);
  if (!GivesOneRow(*entry->subquery)) outer->bag = true;
}

}  // namespace

bool RefersToOthers(const RangeTblEntry& entry) {
  int depth;
  Node* computed = ComputedBy(entry, &depth);
  return entry.lateral && contain_vars_of_level(computed, depth);
}

void PlanLateral(Planner* planner, Query* query, int index, List* sources, PlannedRelation* outer) {
  RangeTblEntry* entry = rt_fetch(index, query->rtable);
  int depth;
  Node* computed = ComputedBy(*entry, &depth);
  Bitmapset* before = nullptr;
  ListCell* cell;
  foreach (cell, sources) NoteJoined(static_cast<Node*>(lfirst(cell)), &before);
  if (!bms_is_subset(pull_varnos_of_level(nullptr, computed, depth), before))
    return GiveUp(planner, "LATERAL refers to what stands outside of its join");
  switch (entry->rtekind) {
    case RTE_SUBQUERY:
      if (outer->bag) return GiveUp(planner, "rows that LATERAL refers to have no key");
      return PlanBody(planner, query, entry, sources, outer);
    case RTE_FUNCTION:
    case RTE_VALUES: {
      if (checkExprHasSubLink(computed)) GiveUp(planner, "it computes rows from a sub-select");
      List* place = entry->rtekind == RTE_FUNCTION ? PlaceInFunction(index, entry) : NIL;
      outer->key = list_concat_copy(outer->key, place);
      outer->bag = outer->bag || place == NIL;
      return;
    }
    default:
      return GiveUp(planner, "it reads something that is no table");
  }
}

}  // namespace live_queries
