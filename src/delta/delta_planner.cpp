// The sets of a plan in the making, and the queries that are made of its levels. Process: client
// backend, evaluator.
#include "delta/delta_planner.hpp"

#include "analyze/tree.hpp"
#include "delta/restriction.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
}

namespace live_queries {
namespace {

void LeaveOut(Query* query, Step first) {
  query->limitCount = query->limitOffset = nullptr;
  query->limitOption = LIMIT_OPTION_COUNT;
  query->sortClause = NIL;
  if (first == Step::kLimit) return;
  query->distinctClause = NIL;
  query->hasDistinctOn = false;
  if (first == Step::kDistinct) return;
  query->windowClause = NIL;
  query->hasWindowFuncs = false;
  if (first == Step::kWindow) return;
  query->groupClause = NIL;
  query->groupDistinct = false;
  query->havingQual = nullptr;
  query->hasAggs = false;
}

// What must stand in a target list besides what is selected.
bool IsNamedBy(const TargetEntry& target, const Query& query) {
  auto named = [&](List* clauses) {
    ListCell* cell;
    foreach (cell, clauses)
      if (lfirst_node(SortGroupClause, cell)->tleSortGroupRef == target.ressortgroupref)
        return true;
    return false;
  };
  if (target.ressortgroupref == 0) return false;
  if (named(query.groupClause) || named(query.distinctClause)) return true;
  ListCell* cell;
  foreach (cell, query.windowClause) {
    const auto* window = lfirst_node(WindowClause, cell);
    if (named(window->partitionClause) || named(window->orderClause)) return true;
  }
  return false;
}

// Moves conditions with sub-selects from the inner joins below `node`, as far as they are below no
// outer one, to `*quals`.
void HoistSubLinks(Node* node, Node** quals) {
  if (IsA(node, FromExpr)) {
    ListCell* cell;
    foreach (cell, castNode(FromExpr, node)->fromlist)
      HoistSubLinks(static_cast<Node*>(lfirst(cell)), quals);
  }
  if (!IsA(node, JoinExpr)) return;
  auto* join = castNode(JoinExpr, node);
  if (join->jointype != JOIN_INNER) return;
  HoistSubLinks(join->larg, quals);
  HoistSubLinks(join->rarg, quals);
  ListCell* cell;
  List* conjuncts = make_ands_implicit(reinterpret_cast<Expr*>(join->quals));
  foreach (cell, conjuncts)
    if (checkExprHasSubLink(static_cast<Node*>(lfirst(cell))))
      *quals = make_and_qual(*quals, static_cast<Node*>(lfirst(cell)));
  join->quals = PlainConjuncts(join->quals);
}

void FlattenLateral(Query* query, RangeTblEntry* entry) {
  if (!entry->lateral) return;
  if (entry->rtekind == RTE_SUBQUERY)
    entry->subquery = castNode(Query, FlattenJoinVars(query, AsNode(entry->subquery)));
  entry->functions = castNode(List, FlattenJoinVars(query, AsNode(entry->functions)));
  entry->values_lists = castNode(List, FlattenJoinVars(query, AsNode(entry->values_lists)));
}

}  // namespace

void GiveUp(Planner* planner, const char* why) {
  if (planner->why_whole == nullptr) planner->why_whole = why;
}

void Refuse(Planner* planner, const char* what, const char* cure) {
  if (planner->refused != nullptr) return;
  planner->refused = what;
  planner->cure = cure;
}

void TakeDecisions(const Decisions& decisions, Planner* planner) {
  planner->made = list_concat_unique(planner->made, decisions.made);
  if (decisions.open != nullptr) Refuse(planner, decisions.open, decisions.cure);
}

Part* MakePart(int set, List* expressions) {
  Part* part = static_cast<Part*>(palloc(sizeof(Part)));
  *part = {set, expressions};
  return part;
}

Restricted* MakeRestricted(int set, Query* query) {
  Restricted* restricted = static_cast<Restricted*>(palloc(sizeof(Restricted)));
  *restricted = {set, query};
  return restricted;
}

StaleSet* AddSet(Planner* planner, List* expressions, Oid table) {
  StaleSet* set = static_cast<StaleSet*>(palloc0(sizeof(StaleSet)));
  set->number = list_length(planner->sets);
  set->table = table;
  ListCell* cell;
  foreach (cell, expressions) {
    SetColumn* column = static_cast<SetColumn*>(palloc0(sizeof(SetColumn)));
    if (!DescribeColumn(static_cast<Expr*>(lfirst(cell)), column))
      GiveUp(planner, "a type in it has no equality");
    column->param = ++planner->params;
    // An identity has no NULL.
    if (!OidIsValid(table)) column->null_param = ++planner->params;
    set->columns = lappend(set->columns, column);
  }
  if (expressions == NIL) set->found_param = ++planner->params;
  planner->sets = lappend(planner->sets, set);
  return set;
}

const StaleSet& SetOf(const Planner& planner, const Part& part) {
  return *static_cast<StaleSet*>(list_nth(planner.sets, part.set));
}

void RestrictTo(Query* query, const Planner& planner, const Part& part) {
  ListCell* expression;
  ListCell* column;
  forboth (expression, part.expressions, column, SetOf(planner, part).columns)
    Restrict(query, static_cast<Expr*>(lfirst(expression)),
             *static_cast<SetColumn*>(lfirst(column)));
}

void LeaveOutPart(Query* query, const Planner& planner, const Part& part) {
  List* tests = NIL;
  ListCell* expression;
  ListCell* column;
  forboth (expression, part.expressions, column, SetOf(planner, part).columns)
    tests = lappend(tests, IsAmong(static_cast<Expr*>(lfirst(expression)),
                                   *static_cast<SetColumn*>(lfirst(column))));
  const StaleSet& set = SetOf(planner, part);
  if (set.found_param != 0) tests = list_make1(MakeParam(set.found_param, BOOLOID));
  BooleanTest* test = makeNode(BooleanTest);
  test->arg = make_ands_explicit(tests);
  test->booltesttype = IS_NOT_TRUE;
  test->location = -1;
  // A condition on rows does not keep one group from being there.
  const bool of_group = GivesOneGroup(*query) || contain_aggs_of_level(AsNode(test), 0);
  Node** quals = of_group ? &query->havingQual : &query->jointree->quals;
  *quals = make_and_qual(*quals, AsNode(test));
}

void AddPart(Planner* planner, List* expressions, List* probe, PlannedRelation* relation) {
  if (probe == NIL) return;
  StaleSet* set = AddSet(planner, expressions, InvalidOid);
  set->probe = probe;
  relation->parts = lappend(list_copy(relation->parts), MakePart(set->number, expressions));
}

Query* Selecting(const Query* query, Step first, List* expressions) {
  Query* made = CopyOf(query);
  LeaveOut(made, first);
  // Any row of it tells that there is one.
  if (first == Step::kLimit) return made;
  List* targets = NIL;
  AttrNumber number = 0;
  ListCell* cell;
  foreach (cell, expressions)
    targets = lappend(targets, makeTargetEntry(CopyOf(static_cast<Expr*>(lfirst(cell))), ++number,
                                               pstrdup("?value"), false));
  // A row that tells nothing but that it is there.
  if (expressions == NIL)
    targets = list_make1(makeTargetEntry(reinterpret_cast<Expr*>(makeBoolConst(true, false)),
                                         ++number, pstrdup("?there"), false));
  foreach (cell, made->targetList) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    if (!IsNamedBy(*target, *made)) continue;
    target->resno = ++number;
    target->resjunk = true;
    targets = lappend(targets, target);
  }
  made->targetList = targets;
  made->hasTargetSRFs = expression_returns_set(AsNode(targets));
  return made;
}

void NoteJoined(Node* node, Bitmapset** joined) {
  if (IsA(node, RangeTblRef)) {
    *joined = bms_add_member(*joined, castNode(RangeTblRef, node)->rtindex);
  } else if (IsA(node, JoinExpr)) {
    const auto* join = castNode(JoinExpr, node);
    *joined = bms_add_member(*joined, join->rtindex);
    NoteJoined(join->larg, joined);
    NoteJoined(join->rarg, joined);
  } else {
    ListCell* cell;
    foreach (cell, castNode(FromExpr, node)->fromlist)
      NoteJoined(static_cast<Node*>(lfirst(cell)), joined);
  }
}

void ReadAlone(Query* query, List* sources) {
  query->jointree = makeFromExpr(sources, nullptr);
  Bitmapset* joined = nullptr;
  NoteJoined(AsNode(query->jointree), &joined);
  ListCell* cell;
  foreach (cell, query->rtable) {
    auto* entry = lfirst_node(RangeTblEntry, cell);
    if (bms_is_member(foreach_current_index(cell) + 1, joined)) continue;
    RangeTblEntry* nothing = makeNode(RangeTblEntry);
    nothing->rtekind = RTE_RESULT;
    nothing->eref = entry->eref;
    lfirst(cell) = nothing;
  }
}

AttrNumber SelectTarget(Query* query, TargetEntry* target) {
  List* selected = NIL;
  List* others = NIL;
  ListCell* cell;
  foreach (cell, query->targetList) {
    if (lfirst(cell) == target) continue;
    List** list = lfirst_node(TargetEntry, cell)->resjunk ? &others : &selected;
    *list = lappend(*list, lfirst(cell));
  }
  target->resjunk = false;
  target->resname = psprintf("?hidden %d", list_length(selected) + 1);
  query->targetList = list_concat(lappend(selected, target), others);
  foreach (cell, query->targetList)
    lfirst_node(TargetEntry, cell)->resno =
        static_cast<AttrNumber>(foreach_current_index(cell) + 1);
  return target->resno;
}

Query* SelectingMatched(const Query* query, const JoinExpr* join, List* expressions) {
  Query* matched = Selecting(query, Step::kGroup, expressions);
  JoinExpr* inner_join = CopyOf(join);
  inner_join->jointype = JOIN_INNER;
  inner_join->quals = PlainConjuncts(join->quals);
  rt_fetch(join->rtindex, matched->rtable)->jointype = JOIN_INNER;
  ReadAlone(matched, list_make1(inner_join));
  return matched;
}

Node* PlainConjuncts(Node* quals) {
  List* plain = NIL;
  ListCell* cell;
  List* conjuncts = make_ands_implicit(reinterpret_cast<Expr*>(quals));
  foreach (cell, conjuncts)
    if (!checkExprHasSubLink(static_cast<Node*>(lfirst(cell))))
      plain = lappend(plain, CopyOf(static_cast<Node*>(lfirst(cell))));
  return plain == NIL ? nullptr : AsNode(make_ands_explicit(plain));
}

void PrepareLevel(Query* query) {
  query->targetList = castNode(List, FlattenJoinVars(query, AsNode(query->targetList)));
  if (query->havingQual != nullptr) query->havingQual = FlattenJoinVars(query, query->havingQual);
  query->jointree = castNode(FromExpr, FlattenJoinVars(query, AsNode(query->jointree)));
  HoistSubLinks(AsNode(query->jointree), &query->jointree->quals);
  ListCell* cell;
  foreach (cell, query->rtable) FlattenLateral(query, lfirst_node(RangeTblEntry, cell));
}

bool Groups(const Query& query) {
  return query.hasAggs || query.groupClause != NIL || query.groupingSets != NIL ||
         query.havingQual != nullptr;
}

bool GivesOneGroup(const Query& query) { return Groups(query) && query.groupClause == NIL; }

List* Visible(List* target_list) {
  List* expressions = NIL;
  ListCell* cell;
  foreach (cell, target_list) {
    const auto* target = lfirst_node(TargetEntry, cell);
    if (!target->resjunk) expressions = lappend(expressions, target->expr);
  }
  return expressions;
}

}  // namespace live_queries
