// By the rules, where they apply; the whole query otherwise. Process: client backend, evaluator.
#include "delta/delta_plan.hpp"

#include "analyze/clock.hpp"
#include "analyze/table_facts.hpp"
#include "analyze/tree.hpp"
#include "delta/common_tables.hpp"
#include "delta/delta_planner.hpp"
#include "delta/moving_groups.hpp"
#include "delta/nulling_joins.hpp"
#include "delta/open_answers.hpp"
#include "delta/restriction.hpp"
#include "delta/value_by_value.hpp"
#include "delta/whole_rows.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "rewrite/rewriteManip.h"
}

namespace live_queries {
namespace {

// ----- what is looked for before -----

struct Refusal {
  const char* what;
  const char* cure;
};

bool FindRefusal(Node* node, Refusal* refusal) {
  if (node == nullptr) return false;
  if (IsA(node, Var) && castNode(Var, node)->varattno < 0) {
    *refusal = {"it uses a system column", "Use columns of the table."};
    return true;
  }
  if (IsA(node, Query)) {
    const auto* query = castNode(Query, node);
    if (query->rowMarks != NIL) {
      *refusal = {"it locks rows (FOR UPDATE or FOR SHARE)", "Leave out FOR UPDATE or FOR SHARE."};
      return true;
    }
    ListCell* cell;
    foreach (cell, query->rtable) {
      const auto* entry = lfirst_node(RangeTblEntry, cell);
      if (entry->tablesample != nullptr)
        *refusal = {"it contains TABLESAMPLE", "Leave out TABLESAMPLE."};
      if (contain_mutable_functions(AsNode(entry->functions)) ||
          contain_mutable_functions(AsNode(entry->tablefunc)))
        *refusal = {"it reads rows of a function that is not IMMUTABLE",
                    "Read the tables themselves."};
      if (refusal->what != nullptr) return true;
    }
  }
  return WalkChildren(node, FindRefusal, refusal);
}

// ----- by the rules -----

// Puts what columns of the grouping steps stand for in their place. Returns true if there are
// several of one level.
bool FlattenGroups(Node* node, void* unused) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) {
    auto* query = castNode(Query, node);
    if (query->groupingSets != NIL) return true;
    FlattenGroupVars(query);
  }
  return WalkChildren(node, FlattenGroups, unused);
}

List* RestrictedResult(const Planner& planner, const Level& level) {
  List* all = NIL;
  // A set operation has no place for conditions.
  const Query* result =
      level.query->setOperations == nullptr ? level.query : Wrapped(CopyOf(level.query));
  ListCell* cell;
  foreach (cell, level.parts) {
    const Part part = InExpressions(*static_cast<Part*>(lfirst(cell)), *result);
    Query* query = CopyOf(result);
    ListCell* earlier;
    foreach (earlier, level.parts) {
      if (lfirst(earlier) == lfirst(cell)) break;
      LeaveOutPart(query, planner, InExpressions(*static_cast<Part*>(lfirst(earlier)), *result));
    }
    RestrictTo(query, planner, part);
    all = lappend(all, MakeRestricted(part.set, query));
  }
  return all;
}

void NoteNullingJoinsIn(List* restricted) {
  ListCell* cell;
  foreach (cell, restricted) NoteNullingJoins(static_cast<Restricted*>(lfirst(cell))->query);
}

DeltaPlan PlanByRules(const Query* query, Planner* planner) {
  DeltaPlan plan = {};
  Query* copy = CopyOf(query);
  Decisions decisions = {};
  ForgetNullingJoins(copy);
  if (FlattenGroups(AsNode(copy), nullptr)) GiveUp(planner, "it contains GROUPING SETS");
  const char* why_not = InlineCommonTables(copy, &decisions);
  if (why_not != nullptr) GiveUp(planner, why_not);
  if (planner->why_whole != nullptr) return plan;
  if (AsksClock(query)) plan.windows = FindClockWindows(copy, &planner->params);
  SelectWholeRows(copy);
  DecideInner(copy, &decisions);
  TakeDecisions(decisions, planner);
  planner->outermost = copy;
  const Level level = PlanLevel(planner, copy);
  if (planner->why_whole != nullptr || planner->refused != nullptr) return plan;
  plan.query = level.query;
  plan.moving = PlanMovingGroups(*planner, level);
  plan.boundary = planner->boundary;
  plan.key = level.key;
  plan.bag = level.bag;
  plan.restricted = RestrictedResult(*planner, level);
  plan.sets = planner->sets;
  plan.params = planner->params;
  SettleClockWindows(plan.sets, &plan.windows);
  NoteNullingJoins(plan.query);
  NoteNullingJoinsIn(plan.restricted);
  if (plan.moving != nullptr) {
    NoteNullingJoinsIn(plan.moving->inputs);
    NoteNullingJoins(plan.moving->members);
  }
  ListCell* cell;
  foreach (cell, plan.sets) NoteNullingJoinsIn(static_cast<StaleSet*>(lfirst(cell))->probe);
  return plan;
}

// ----- the whole query -----

// A set for each table of a query; NIL: it may have changed wherever.
bool CollectTables(Node* node, List** tables) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) {
    ListCell* cell;
    foreach (cell, castNode(Query, node)->rtable) {
      auto* entry = lfirst_node(RangeTblEntry, cell);
      // 15 keeps views beside what they have become.
      if (entry->rtekind == RTE_RELATION && entry->relkind != RELKIND_VIEW)
        *tables = lappend(*tables, entry);
    }
  }
  return WalkChildren(node, CollectTables, tables);
}

// As two rows of one result could look the same, it is a bag.
DeltaPlan PlanWhole(const Query* query, const char* why, List* tables, Planner* planner) {
  DeltaPlan plan = {};
  plan.query = CopyOf(query);
  plan.bag = true;
  plan.why_whole = why;
  Decisions decisions = {};
  SelectWholeRows(plan.query);
  DecideAll(plan.query, &decisions);
  TakeDecisions(decisions, planner);
  ListCell* cell;
  foreach (cell, tables) {
    const auto* entry = lfirst_node(RangeTblEntry, cell);
    StaleSet* set = AddSet(planner, NIL, entry->relid);
    set->relations = LookAtTable(*entry).relations;
  }
  plan.sets = planner->sets;
  plan.params = planner->params;
  return plan;
}

}  // namespace

bool IsList(const Query& query) {
  return query.sortClause != NIL && query.limitCount != nullptr &&
         query.limitOption != LIMIT_OPTION_WITH_TIES;
}

DeltaPlan PlanDelta(const Query* query) {
  DeltaPlan plan = {};
  const int shown = list_length(Visible(query->targetList));
  Node* tree = const_cast<Node*>(reinterpret_cast<const Node*>(query));
  Refusal refusal = {};
  (void)FindRefusal(tree, &refusal);
  plan.refused = refusal.what;
  plan.cure = refusal.cure;
  if (plan.refused != nullptr) return plan;
  List* tables = NIL;
  (void)CollectTables(tree, &tables);
  const bool asks_clock = AsksClock(query);
  // The numbers behind that of the clock are those of stale sets.
  const Planner beginning = {NIL, asks_clock ? kClockParam : 0};
  Planner planner = beginning;
  plan = PlanByRules(query, &planner);
  if (planner.why_whole != nullptr) {
    Planner of_whole = beginning;
    plan = PlanWhole(query, planner.why_whole, tables, &of_whole);
    planner = of_whole;
  }
  plan.refused = planner.refused;
  plan.cure = planner.cure;
  plan.decided = planner.made;
  plan.shown = shown;
  plan.list = IsList(LevelOfValue(*query));
  plan.asks_clock = asks_clock;
  ListCell* cell;
  foreach (cell, tables)
    plan.tables = list_append_unique_oid(plan.tables, lfirst_node(RangeTblEntry, cell)->relid);
  return plan;
}

}  // namespace live_queries
