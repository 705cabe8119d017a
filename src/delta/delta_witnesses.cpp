// Sub-selects wherever they can stand. What one gives for a row of its level may be stale where a
// witness holds for that row, at either snapshot: that stale rows feed the sub-select. A witness
// knows conditions that hold no sub-select, and sets, and nothing else: of two sub-selects that
// change in one batch, each could hide the other. Process: client backend, evaluator.
#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"
#include "delta/sub_select_test.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
}

namespace live_queries {
namespace {

constexpr int kMostLevels = 16;

// Where this holds for a row of a level, at either snapshot, and the set is not empty, what a
// sub-select gives for it may be stale.
struct Witness {
  int set;
  Expr* condition;
};

struct SubLinkSearch {
  List* found;  // SubLink*
  bool in_aggregates;
};

bool CollectSubLinks(Node* node, SubLinkSearch* search) {
  if (node == nullptr) return false;
  if (IsA(node, SubLink)) {
    search->found = lappend(search->found, node);
    return CollectSubLinks(castNode(SubLink, node)->testexpr, search);
  }
  if (IsA(node, Query)) return false;
  if (IsA(node, Aggref) && !search->in_aggregates) return false;
  return WalkChildren(node, CollectSubLinks, search);
}

List* SubLinksIn(Node* node, bool in_aggregates = true) {
  SubLinkSearch search = {NIL, in_aggregates};
  (void)CollectSubLinks(node, &search);
  return search.found;
}

// Those that are evaluated for the one group of a level, and not for each row that it reads.
List* GroupSubLinks(const Query* query) {
  if (!GivesOneGroup(*query)) return NIL;
  return list_concat(SubLinksIn(AsNode(query->targetList), false),
                     SubLinksIn(query->havingQual, false));
}

bool HasSubLinksInFrames(const Query* query) {
  ListCell* cell;
  foreach (cell, query->windowClause) {
    const auto* window = lfirst_node(WindowClause, cell);
    if (checkExprHasSubLink(window->startOffset) || checkExprHasSubLink(window->endOffset))
      return true;
  }
  return false;
}

// All those of a level beside the ones of its FROM.
List* SubLinksOf(Planner* planner, const Query* query) {
  if (checkExprHasSubLink(query->limitCount) || checkExprHasSubLink(query->limitOffset))
    GiveUp(planner, "LIMIT or OFFSET contains a sub-select");
  if (HasSubLinksInFrames(query)) GiveUp(planner, "the frame of a window contains a sub-select");
  List* links = SubLinksIn(AsNode(query->targetList));
  links = list_concat(links, SubLinksIn(query->jointree->quals));
  links = list_concat(links, SubLinksIn(query->havingQual));
  ListCell* cell;
  foreach (cell, links)
    if (contain_aggs_of_level(castNode(SubLink, lfirst(cell))->subselect, 1))
      GiveUp(planner, "a sub-select contains an aggregate of what is around it");
  return links;
}

bool IsPlainLevel(const Query& query) {
  return query.setOperations == nullptr && !Groups(query) && !query.hasWindowFuncs &&
         !query.hasTargetSRFs && !query.hasDistinctOn && query.limitCount == nullptr &&
         query.limitOffset == nullptr;
}

// What a row of `body` has to fulfil to matter for `link`; nullptr: nothing that is certain.
Node* TestOf(const SubLink& link, const Query& body, bool is_conjunct) {
  if (link.testexpr == nullptr || !IsPlainLevel(body)) return nullptr;
  if (checkExprHasSubLink(link.testexpr) || checkExprHasSubLink(AsNode(body.targetList)))
    return nullptr;
  if (link.subLinkType != ANY_SUBLINK && link.subLinkType != ALL_SUBLINK) return nullptr;
  Node* test = TestWithin(link, body);
  // IN as a condition: nothing is lost that is not true for either row.
  if (is_conjunct && link.subLinkType == ANY_SUBLINK) return test;
  BooleanTest* certain = makeNode(BooleanTest);
  certain->arg = reinterpret_cast<Expr*>(test);
  certain->booltesttype = link.subLinkType == ALL_SUBLINK ? IS_NOT_TRUE : IS_NOT_FALSE;
  certain->location = -1;
  return AsNode(certain);
}

Expr* Exists(Query* query) {
  SubLink* link = makeNode(SubLink);
  link->subLinkType = EXISTS_SUBLINK;
  link->subselect = AsNode(query);
  link->location = -1;
  return reinterpret_cast<Expr*>(link);
}

bool ReadsOuterLevels(Node* node) {
  for (int level = 1; level < kMostLevels; ++level)
    if (contain_vars_of_level(node, level) || contain_aggs_of_level(node, level)) return true;
  return false;
}

// The query that is all that `body` reads, if that refers to what is around `body`; else nullptr.
Query* OpenSource(const Query& body) {
  const FromExpr& from = *body.jointree;
  if (list_length(from.fromlist) != 1 || !IsA(linitial(from.fromlist), RangeTblRef)) return nullptr;
  const RangeTblEntry* entry =
      rt_fetch(linitial_node(RangeTblRef, from.fromlist)->rtindex, body.rtable);
  const bool is_open = entry->rtekind == RTE_SUBQUERY && ReadsOuterLevels(AsNode(entry->subquery));
  return is_open ? entry->subquery : nullptr;
}

// What is read within `node` is evaluated on its own: nothing in it may be of another level. The
// conditions of inner joins may, where these are below no outer join.
void RequireClosed(Planner* planner, const Query* query, Node* node, bool below_outer) {
  if (IsA(node, RangeTblRef)) {
    const auto* entry = rt_fetch(castNode(RangeTblRef, node)->rtindex, query->rtable);
    if ((entry->rtekind == RTE_SUBQUERY && ReadsOuterLevels(AsNode(entry->subquery))) ||
        ReadsOuterLevels(AsNode(entry->functions)) || ReadsOuterLevels(AsNode(entry->values_lists)))
      GiveUp(planner, "what is read in a sub-select refers to what is around that");
    return;
  }
  if (IsA(node, JoinExpr)) {
    const auto* join = castNode(JoinExpr, node);
    below_outer = below_outer || join->jointype != JOIN_INNER;
    if (below_outer && ReadsOuterLevels(join->quals))
      GiveUp(planner, "an outer join in a sub-select refers to what is around that");
    RequireClosed(planner, query, join->larg, below_outer);
    RequireClosed(planner, query, join->rarg, below_outer);
    return;
  }
  ListCell* cell;
  foreach (cell, castNode(FromExpr, node)->fromlist)
    RequireClosed(planner, query, static_cast<Node*>(lfirst(cell)), below_outer);
}

// The rows that feed `body`, with one more condition.
Query* Feeding(const Query* body, Node* condition) {
  Query* rows = Selecting(body, Step::kGroup, NIL);
  rows->jointree->quals = PlainConjuncts(body->jointree->quals);
  if (condition != nullptr) rows->jointree->quals = make_and_qual(rows->jointree->quals, condition);
  rows->hasSubLinks = true;
  return rows;
}

// One row, if `condition` holds.
Query* NothingBut(const Query* body, Node* condition) {
  Query* row = Selecting(body, Step::kGroup, NIL);
  ReadAlone(row, NIL);
  row->jointree->quals = condition;
  row->hasSubLinks = true;
  return row;
}

Witness* MakeWitness(int set, Query* rows) {
  Witness* witness = static_cast<Witness*>(palloc(sizeof(Witness)));
  *witness = {set, Exists(rows)};
  return witness;
}

List* WitnessesOfBody(Planner* planner, const SubLink& link, Query* body, bool is_conjunct);
List* WitnessesOf(Planner* planner, const SubLink& link, bool is_conjunct);

// Whether the result columns have the types that the test of a sub-select expects.
bool GivesTypes(const Query& leaf, List* types) {
  ListCell* cell;
  foreach (cell, types) {
    const auto* target = list_nth_node(TargetEntry, leaf.targetList, foreach_current_index(cell));
    if (exprType(AsNode(target->expr)) != lfirst_oid(cell)) return false;
  }
  return true;
}

// Those for which what `inner` gives may be stale, where that is read by a query, which it does not
// refer to, of a sub-select: they stand for the rows of what is around that one.
List* WitnessesOfOpen(Planner* planner, Query* inner) {
  List* witnesses = WitnessesOf(planner, *castNode(SubLink, Exists(inner)), false);
  ListCell* cell;
  foreach (cell, witnesses)
    IncrementVarSublevelsUp(AsNode(static_cast<Witness*>(lfirst(cell))->condition), -1, 1);
  return witnesses;
}

List* WitnessesOfLeaves(Planner* planner, const SubLink& link, const Query* body) {
  List* witnesses = NIL;
  ListCell* cell;
  foreach (cell, CombinedBy(*body)) {
    Query* leaf = lfirst_node(RangeTblEntry, cell)->subquery;
    if (ReadsOuterLevels(AsNode(leaf))) {
      witnesses = list_concat(witnesses, WitnessesOfOpen(planner, leaf));
      continue;
    }
    SubLink untested = link;
    if (!GivesTypes(*leaf, castNode(SetOperationStmt, body->setOperations)->colTypes))
      untested.testexpr = nullptr;
    witnesses = list_concat(witnesses, WitnessesOfBody(planner, untested, CopyOf(leaf), false));
  }
  return witnesses;
}

List* WitnessesOf(Planner* planner, const SubLink& link, bool is_conjunct) {
  const bool decided = planner->decided;
  planner->decided = true;  // in the query itself
  List* witnesses =
      WitnessesOfBody(planner, link, castNode(Query, CopyOf(link.subselect)), is_conjunct);
  planner->decided = decided;
  return witnesses;
}

List* WitnessesOfBody(Planner* planner, const SubLink& link, Query* body, bool is_conjunct) {
  if (body->setOperations != nullptr) return WitnessesOfLeaves(planner, link, body);
  List* witnesses = NIL;
  ListCell* cell;
  PrepareLevel(body);
  if (Query* source = OpenSource(*body); source != nullptr) {
    if (body->hasSubLinks)
      GiveUp(planner, "what is read in a sub-select refers to what is around that");
    return WitnessesOfOpen(planner, source);
  }
  RequireClosed(planner, body, AsNode(body->jointree), false);
  const PlannedRelation relation = PlanFrom(planner, body, AsNode(body->jointree));
  foreach (cell, relation.parts) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    Query* rows = Feeding(body, TestOf(link, *body, is_conjunct));
    RestrictTo(rows, *planner, part);
    witnesses = lappend(witnesses, MakeWitness(part.set, rows));
  }
  List* of_group = GroupSubLinks(body);
  List* links = SubLinksOf(planner, body);
  foreach (cell, links) {
    const bool needs_no_rows = list_member_ptr(of_group, lfirst(cell));
    ListCell* inner;
    foreach (inner, WitnessesOf(planner, *lfirst_node(SubLink, cell), false)) {
      const Witness& witness = *static_cast<Witness*>(lfirst(inner));
      Node* condition = AsNode(witness.condition);
      witnesses =
          lappend(witnesses, MakeWitness(witness.set, needs_no_rows ? NothingBut(body, condition)
                                                                    : Feeding(body, condition)));
    }
  }
  return witnesses;
}

// Restricted*: those of `rows` for which one of `links` may be stale.
List* ProbeSubLinks(Planner* planner, const Query* rows, List* links, List* conjuncts) {
  List* probe = NIL;
  ListCell* cell;
  foreach (cell, links) {
    ListCell* inner;
    foreach (inner, WitnessesOf(planner, *lfirst_node(SubLink, cell),
                                list_member_ptr(conjuncts, lfirst(cell)))) {
      const Witness& witness = *static_cast<Witness*>(lfirst(inner));
      Restricted* restricted = MakeRestricted(witness.set, CopyOf(rows));
      FromExpr* from = restricted->query->jointree;
      from->quals = make_and_qual(from->quals, AsNode(witness.condition));
      restricted->query->hasSubLinks = true;
      probe = lappend(probe, restricted);
    }
  }
  return probe;
}

void AddSubLinks(Planner* planner, const Query* rows, List* links, List* conjuncts,
                 PlannedRelation* relation) {
  List* probe = ProbeSubLinks(planner, rows, links, conjuncts);
  if (probe != NIL && relation->bag) GiveUp(planner, "rows with a sub-select have no key");
  AddPart(planner, relation->key, probe, relation);
}

}  // namespace

void PlanSubLinks(Planner* planner, const Query* query, PlannedRelation* relation) {
  List* links = list_difference_ptr(SubLinksOf(planner, query), GroupSubLinks(query));
  if (links == NIL) return;
  Query* rows = Selecting(query, Step::kGroup, relation->key);
  rows->jointree->quals = PlainConjuncts(query->jointree->quals);
  AddSubLinks(planner, rows, links,
              make_ands_implicit(reinterpret_cast<Expr*>(query->jointree->quals)), relation);
}

void PlanGroupSubLinks(Planner* planner, const Query* query, PlannedRelation* relation) {
  List* links = GroupSubLinks(query);
  if (links == NIL) return;
  Query* row = NothingBut(query, nullptr);
  AddPart(planner, NIL, ProbeSubLinks(planner, row, links, NIL), relation);
}

void PlanPolicies(Planner* planner, const Query* query, int index, PlannedRelation* table) {
  List* links = SubLinksIn(AsNode(rt_fetch(index, query->rtable)->securityQuals));
  if (links == NIL) return;
  Query* rows = Selecting(query, Step::kGroup, table->key);
  RangeTblRef* reference = makeNode(RangeTblRef);
  reference->rtindex = index;
  ReadAlone(rows, list_make1(reference));
  RangeTblEntry* entry = rt_fetch(index, rows->rtable);
  List* plain = NIL;
  ListCell* cell;
  foreach (cell, entry->securityQuals)
    if (!checkExprHasSubLink(static_cast<Node*>(lfirst(cell))))
      plain = lappend(plain, lfirst(cell));
  entry->securityQuals = plain;
  AddSubLinks(planner, rows, links, NIL, table);
}

void PlanJoinSubLinks(Planner* planner, const Query* query, const JoinExpr* join,
                      PlannedRelation* outer) {
  List* links = SubLinksIn(join->quals);
  if (links == NIL) return;
  Query* rows = SelectingMatched(query, join, outer->key);
  AddSubLinks(planner, rows, links, NIL, outer);
}

void PlanExists(Planner* planner, const Query* query, Query* body, List* sources,
                PlannedRelation* outer) {
  Query* rows = Selecting(query, Step::kGroup, outer->key);
  ReadAlone(rows, CopyOf(sources));
  SubLink* link = castNode(SubLink, Exists(body));
  AddSubLinks(planner, rows, list_make1(link), NIL, outer);
}

}  // namespace live_queries
