// From the innermost level to the outermost: at each, what may be stale of what it reads, and what
// grouping and its like make of that. Process: client backend, evaluator.
#include "query/delta_plan.hpp"

#include "pg/compat.hpp"
#include "query/restriction.hpp"
#include "query/table_facts.hpp"
#include "query/tree.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parse_oper.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// What of a relation a stale set makes stale: the rows for which these expressions, beside its
// columns, have values of it.
struct Part {
  int set;
  List* expressions;
};

// A relation as it stands within a level: what it was made of, in expressions of that level.
struct Relation {
  List* key;    // of expressions; what names a row
  bool bag;     // nothing does
  List* parts;  // Part*
};

// A level that is done, for the one around it.
struct Level {
  Query* query;
  List* key;  // numbers of result columns
  bool bag;
  List* parts;  // Part*; their expressions are Integer: numbers of result columns
};

// Raised and caught as a value: why a level has no grain.
struct Planner {
  List* sets = NIL;
  List* tables = NIL;
  int params = 0;
  const char* why_whole = nullptr;
};

template <class T>
T* Copy(const T* tree) {
  return static_cast<T*>(copyObjectImpl(tree));
}

Part* MakePart(int set, List* expressions) {
  Part* part = static_cast<Part*>(palloc(sizeof(Part)));
  *part = {set, expressions};
  return part;
}

void GiveUp(Planner* planner, const char* why) {
  if (planner->why_whole == nullptr) planner->why_whole = why;
}

// A new set, of the values of `expressions`.
StaleSet* AddSet(Planner* planner, List* expressions, Oid table) {
  StaleSet* set = static_cast<StaleSet*>(palloc0(sizeof(StaleSet)));
  set->number = list_length(planner->sets);
  set->table = table;
  ListCell* cell;
  foreach (cell, expressions) {
    SetColumn* column = static_cast<SetColumn*>(palloc(sizeof(SetColumn)));
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

// What a level does to the rows that it reads, in this order.
enum class Step : uint8_t { kGroup, kWindow, kDistinct, kLimit };

// Whether a step groups, or is still to come once those before it are done.
void LeaveOut(Query* query, Step first) {
  query->limitCount = query->limitOffset = nullptr;
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

// `query` without `first` and the steps after it, selecting `expressions`.
Query* Selecting(const Query* query, Step first, List* expressions) {
  Query* made = Copy(query);
  LeaveOut(made, first);
  // Any row of it tells that there is one.
  if (first == Step::kLimit) return made;
  List* targets = NIL;
  AttrNumber number = 0;
  ListCell* cell;
  foreach (cell, expressions)
    targets = lappend(targets, makeTargetEntry(Copy(static_cast<Expr*>(lfirst(cell))), ++number,
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
  return made;
}

// A set of what `expressions` are in the stale rows before the step `first`; after it, that is what
// is stale.
void Coarsen(Planner* planner, const Query* query, Step first, List* expressions,
             Relation* relation) {
  List* probe = NIL;
  ListCell* cell;
  foreach (cell, relation->parts) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    Restricted* restricted = static_cast<Restricted*>(palloc(sizeof(Restricted)));
    *restricted = {part.set, Selecting(query, first, expressions)};
    RestrictTo(restricted->query, *planner, part);
    probe = lappend(probe, restricted);
  }
  if (probe == NIL) return;
  StaleSet* set = AddSet(planner, expressions, InvalidOid);
  set->probe = probe;
  relation->parts = list_make1(MakePart(set->number, expressions));
}

List* ExpressionsOf(List* clauses, List* target_list) {
  return get_sortgrouplist_exprs(clauses, target_list);
}

// Those by which every window is partitioned, and that stand for what the level reads.
List* CommonPartition(const Query& query) {
  List* common = NIL;
  ListCell* window;
  foreach (window, query.windowClause) {
    List* these =
        ExpressionsOf(lfirst_node(WindowClause, window)->partitionClause, query.targetList);
    common = foreach_current_index(window) == 0 ? these : list_intersection(common, these);
  }
  List* kept = NIL;
  ListCell* cell;
  foreach (cell, common)
    if (!contain_aggs_of_level(static_cast<Node*>(lfirst(cell)), 0))
      kept = lappend(kept, lfirst(cell));
  return kept;
}

List* Visible(List* target_list) {
  List* expressions = NIL;
  ListCell* cell;
  foreach (cell, target_list) {
    const auto* target = lfirst_node(TargetEntry, cell);
    if (!target->resjunk) expressions = lappend(expressions, target->expr);
  }
  return expressions;
}

Level PlanLevel(Planner* planner, Query* query);

// ----- what a level reads -----

void PlanPolicies(Planner* planner, const Query* query, int index, Relation* table);

Relation PlanTable(Planner* planner, const Query* query, int index, const RangeTblEntry& entry) {
  planner->tables = list_append_unique_oid(planner->tables, entry.relid);
  const TableFacts facts = LookAtTable(entry);
  List* identity = NIL;
  ListCell* cell;
  foreach (cell, facts.key) {
    const auto number = static_cast<AttrNumber>(lfirst_int(cell));
    Oid type;
    int32 typmod;
    Oid collation;
    get_atttypetypmodcoll(entry.relid, number, &type, &typmod, &collation);
    identity = lappend(identity, makeVar(index, number, type, typmod, collation, 0));
  }
  if (identity == NIL) GiveUp(planner, "a table has no key");
  StaleSet* set = AddSet(planner, identity, entry.relid);
  set->relations = facts.relations;
  set->identity = facts.key;
  Relation table = {identity, identity == NIL, list_make1(MakePart(set->number, identity))};
  PlanPolicies(planner, query, index, &table);
  return table;
}

List* ColumnsOf(int index, List* numbers, const Query& inner) {
  List* columns = NIL;
  ListCell* cell;
  foreach (cell, numbers) {
    TargetEntry* target =
        get_tle_by_resno(inner.targetList, static_cast<AttrNumber>(lfirst_int(cell)));
    columns = lappend(columns, makeVarFromTargetEntry(index, target));
  }
  return columns;
}

Relation PlanSubquery(Planner* planner, int index, RangeTblEntry* entry) {
  const Level level = PlanLevel(planner, entry->subquery);
  entry->subquery = level.query;
  // What was added has to have a name.
  for (int n = list_length(entry->eref->colnames); n < list_length(level.query->targetList); ++n) {
    const auto* target = list_nth_node(TargetEntry, level.query->targetList, n);
    if (target->resjunk) break;
    entry->eref->colnames = lappend(entry->eref->colnames, makeString(pstrdup(target->resname)));
  }
  Relation relation = {ColumnsOf(index, level.key, *level.query), level.bag, NIL};
  ListCell* cell;
  foreach (cell, level.parts) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    relation.parts = lappend(relation.parts,
                             MakePart(part.set, ColumnsOf(index, part.expressions, *level.query)));
  }
  return relation;
}

Relation PlanEntry(Planner* planner, Query* query, int index) {
  RangeTblEntry* entry = rt_fetch(index, query->rtable);
  if (entry->lateral) GiveUp(planner, "it contains LATERAL");
  if (entry->tablesample != nullptr) GiveUp(planner, "it contains TABLESAMPLE");
  switch (entry->rtekind) {
    case RTE_RELATION:
      return PlanTable(planner, query, index, *entry);
    case RTE_SUBQUERY:
      return PlanSubquery(planner, index, entry);
    case RTE_RESULT:
      return {NIL, false, NIL};
    case RTE_VALUES:
      return {NIL, true, NIL};
    default:
      GiveUp(planner, "it reads something that is no table");
      return {NIL, true, NIL};
  }
}

Relation Together(const Relation& a, const Relation& b) {
  return {list_concat_copy(a.key, b.key), a.bag || b.bag, list_concat_copy(a.parts, b.parts)};
}

Relation PlanJoinTree(Planner* planner, Query* query, Node* node);

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

// Lets `query` read `source`, of what it joins, and nothing else.
void ReadAlone(Query* query, Node* source) {
  query->jointree = makeFromExpr(list_make1(source), nullptr);
  Bitmapset* joined = nullptr;
  NoteJoined(source, &joined);
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

// The rows of `outer`, by what names them, that have a partner among the stale rows of `inner`.
void ProbePartners(Planner* planner, const Query* query, const JoinExpr* join,
                   const Relation& inner, Relation* outer) {
  List* partners = NIL;
  ListCell* cell;
  foreach (cell, inner.parts) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    Restricted* restricted = static_cast<Restricted*>(palloc(sizeof(Restricted)));
    Query* probe = Selecting(query, Step::kGroup, outer->key);
    JoinExpr* inner_join = Copy(join);
    inner_join->jointype = JOIN_INNER;
    rt_fetch(join->rtindex, probe->rtable)->jointype = JOIN_INNER;
    ReadAlone(probe, AsNode(inner_join));
    *restricted = {part.set, probe};
    RestrictTo(probe, *planner, part);
    partners = lappend(partners, restricted);
  }
  if (partners == NIL) return;
  StaleSet* set = AddSet(planner, outer->key, InvalidOid);
  set->probe = partners;
  outer->parts = lappend(list_copy(outer->parts), MakePart(set->number, outer->key));
}

Relation PlanJoin(Planner* planner, Query* query, JoinExpr* join) {
  Relation left = PlanJoinTree(planner, query, join->larg);
  Relation right = PlanJoinTree(planner, query, join->rarg);
  if (join->jointype == JOIN_INNER) return Together(left, right);
  if (join->jointype == JOIN_FULL) {
    GiveUp(planner, "it contains FULL JOIN");
    return Together(left, right);
  }
  const bool outer_is_left = join->jointype == JOIN_LEFT;
  Relation* outer = outer_is_left ? &left : &right;
  const Relation& inner = outer_is_left ? right : left;
  if (outer->bag) GiveUp(planner, "rows on the outer side of a join have no key");
  ProbePartners(planner, query, join, inner, outer);
  return {list_concat_copy(outer->key, inner.key), outer->bag || inner.bag, outer->parts};
}

Relation PlanJoinTree(Planner* planner, Query* query, Node* node) {
  if (IsA(node, RangeTblRef))
    return PlanEntry(planner, query, castNode(RangeTblRef, node)->rtindex);
  if (IsA(node, JoinExpr)) return PlanJoin(planner, query, castNode(JoinExpr, node));
  Relation all = {NIL, false, NIL};
  ListCell* cell;
  foreach (cell, castNode(FromExpr, node)->fromlist)
    all = Together(all, PlanJoinTree(planner, query, static_cast<Node*>(lfirst(cell))));
  return all;
}

// ----- sub-selects -----

// Where this holds for a row of a level, at either snapshot, and the set is not empty, what a
// sub-select gives for it may be stale.
struct Witness {
  int set;
  Expr* condition;
};

bool CollectSubLinks(Node* node, List** links) {
  if (node == nullptr) return false;
  if (IsA(node, SubLink)) {
    *links = lappend(*links, node);
    return CollectSubLinks(castNode(SubLink, node)->testexpr, links);
  }
  if (IsA(node, Query)) return false;
  return WalkChildren(node, CollectSubLinks, links);
}

List* SubLinksIn(Node* node) {
  List* links = NIL;
  (void)CollectSubLinks(node, &links);
  return links;
}

// The conditions of a level that hold no sub-select.
Node* PlainQuals(const Query* query) {
  List* plain = NIL;
  ListCell* cell;
  foreach (cell, make_ands_implicit(reinterpret_cast<Expr*>(query->jointree->quals)))
    if (!checkExprHasSubLink(static_cast<Node*>(lfirst(cell))))
      plain = lappend(plain, Copy(static_cast<Node*>(lfirst(cell))));
  return plain == NIL ? nullptr : AsNode(make_ands_explicit(plain));
}

struct TestContext {
  List* target_list;
};

// The test of IN and its like with the result columns of the sub-select in their places.
Node* PutColumns(Node* node, TestContext* context) {
  if (node == nullptr) return nullptr;
  if (IsA(node, Param) && castNode(Param, node)->paramkind == PARAM_SUBLINK) {
    const auto number = static_cast<AttrNumber>(castNode(Param, node)->paramid);
    return AsNode(Copy(get_tle_by_resno(context->target_list, number)->expr));
  }
  return RewriteChildren(node, PutColumns, context);
}

bool IsPlainLevel(const Query& query) {
  return query.setOperations == nullptr && !query.hasAggs && query.groupClause == NIL &&
         query.groupingSets == NIL && query.havingQual == nullptr && !query.hasWindowFuncs &&
         !query.hasTargetSRFs && !query.hasDistinctOn && query.limitCount == nullptr &&
         query.limitOffset == nullptr;
}

// What a row of `body` has to fulfil to matter for `link`; nullptr: nothing that is certain.
Node* TestOf(const SubLink& link, const Query& body, bool is_conjunct) {
  if (link.testexpr == nullptr || !IsPlainLevel(body)) return nullptr;
  if (checkExprHasSubLink(link.testexpr) || checkExprHasSubLink(AsNode(body.targetList)))
    return nullptr;
  if (link.subLinkType != ANY_SUBLINK && link.subLinkType != ALL_SUBLINK) return nullptr;
  Node* outer = Copy(link.testexpr);
  IncrementVarSublevelsUp(outer, 1, 0);
  TestContext context = {body.targetList};
  Node* test = PutColumns(outer, &context);
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

bool ReadsOuterLevels(const Query* query) {
  constexpr int kMostLevels = 16;
  for (int level = 1; level < kMostLevels; ++level)
    if (contain_vars_of_level(const_cast<Node*>(reinterpret_cast<const Node*>(query)), level) ||
        contain_aggs_of_level(const_cast<Node*>(reinterpret_cast<const Node*>(query)), level))
      return true;
  return false;
}

// What is read within `node` is evaluated on its own: nothing in it may be of another level.
void RequireClosed(Planner* planner, const Query* query, Node* node, bool nullable) {
  if (IsA(node, RangeTblRef)) {
    const auto* entry = rt_fetch(castNode(RangeTblRef, node)->rtindex, query->rtable);
    if (entry->rtekind == RTE_SUBQUERY && ReadsOuterLevels(entry->subquery))
      GiveUp(planner, "a sub-select in FROM, within another one, refers to what is around that");
  } else if (IsA(node, JoinExpr)) {
    const auto* join = castNode(JoinExpr, node);
    if (join->jointype != JOIN_INNER) {
      constexpr int kMostLevels = 16;
      for (int level = 1; level < kMostLevels; ++level)
        if (contain_vars_of_level(join->quals, level))
          GiveUp(planner, "an outer join in a sub-select refers to what is around that");
    }
    RequireClosed(planner, query, join->larg, nullable);
    RequireClosed(planner, query, join->rarg, nullable);
  } else {
    ListCell* cell;
    foreach (cell, castNode(FromExpr, node)->fromlist)
      RequireClosed(planner, query, static_cast<Node*>(lfirst(cell)), nullable);
  }
}

// All expressions of a level in which a sub-select makes no other trouble than elsewhere.
List* SubLinksOf(Planner* planner, const Query* query) {
  if (checkExprHasSubLink(query->limitCount) || checkExprHasSubLink(query->limitOffset))
    GiveUp(planner, "LIMIT or OFFSET contains a sub-select");
  List* links = SubLinksIn(AsNode(query->targetList));
  links = list_concat(links, SubLinksIn(query->jointree->quals));
  return list_concat(links, SubLinksIn(query->havingQual));
}

void RequireNoJoinSubLinks(Planner* planner, Node* node) {
  if (IsA(node, JoinExpr)) {
    const auto* join = castNode(JoinExpr, node);
    if (checkExprHasSubLink(join->quals))
      GiveUp(planner, "the condition of a join contains a sub-select");
    RequireNoJoinSubLinks(planner, join->larg);
    RequireNoJoinSubLinks(planner, join->rarg);
  } else if (IsA(node, FromExpr)) {
    ListCell* cell;
    foreach (cell, castNode(FromExpr, node)->fromlist)
      RequireNoJoinSubLinks(planner, static_cast<Node*>(lfirst(cell)));
  }
}

List* WitnessesOf(Planner* planner, const SubLink& link, bool is_conjunct);

// The rows that feed `body`, with one more condition.
Query* Feeding(const Query* body, Node* condition) {
  Query* rows = Selecting(body, Step::kGroup, NIL);
  rows->jointree->quals = PlainQuals(body);
  if (condition != nullptr) rows->jointree->quals = make_and_qual(rows->jointree->quals, condition);
  rows->hasSubLinks = checkExprHasSubLink(AsNode(rows));
  return rows;
}

Witness* MakeWitness(int set, Query* rows) {
  Witness* witness = static_cast<Witness*>(palloc(sizeof(Witness)));
  *witness = {set, Exists(rows)};
  return witness;
}

List* WitnessesOfBody(Planner* planner, const SubLink& link, Query* body, bool is_conjunct) {
  List* witnesses = NIL;
  ListCell* cell;
  if (body->setOperations != nullptr) {
    foreach (cell, body->rtable) {
      Query* leaf = lfirst_node(RangeTblEntry, cell)->subquery;
      // It stands a level deeper there.
      if (ReadsOuterLevels(leaf))
        GiveUp(planner, "a set operation in a sub-select refers to what is around that");
      witnesses = list_concat(witnesses, WitnessesOfBody(planner, link, Copy(leaf), false));
    }
    return witnesses;
  }
  body->targetList = castNode(List, FlattenJoinVars(body, AsNode(body->targetList)));
  body->jointree = castNode(FromExpr, FlattenJoinVars(body, AsNode(body->jointree)));
  RequireClosed(planner, body, AsNode(body->jointree), false);
  RequireNoJoinSubLinks(planner, AsNode(body->jointree));
  const Relation relation = PlanJoinTree(planner, body, AsNode(body->jointree));
  foreach (cell, relation.parts) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    Query* rows = Feeding(
        body, is_conjunct || link.testexpr != nullptr ? TestOf(link, *body, is_conjunct) : nullptr);
    RestrictTo(rows, *planner, part);
    witnesses = lappend(witnesses, MakeWitness(part.set, rows));
  }
  foreach (cell, SubLinksOf(planner, body)) {
    ListCell* inner;
    foreach (inner, WitnessesOf(planner, *lfirst_node(SubLink, cell), false)) {
      const Witness& witness = *static_cast<Witness*>(lfirst(inner));
      witnesses =
          lappend(witnesses, MakeWitness(witness.set, Feeding(body, AsNode(witness.condition))));
    }
  }
  return witnesses;
}

List* WitnessesOf(Planner* planner, const SubLink& link, bool is_conjunct) {
  return WitnessesOfBody(planner, link, castNode(Query, Copy(link.subselect)), is_conjunct);
}

// Adds to what is stale of `relation` the rows of `rows`, its own by its key, for which one of
// `links` may be.
void AddSubLinks(Planner* planner, const Query* rows, List* links, List* conjuncts,
                 Relation* relation) {
  List* probe = NIL;
  ListCell* cell;
  foreach (cell, links) {
    ListCell* inner;
    foreach (inner, WitnessesOf(planner, *lfirst_node(SubLink, cell),
                                list_member_ptr(conjuncts, lfirst(cell)))) {
      const Witness& witness = *static_cast<Witness*>(lfirst(inner));
      Restricted* restricted = static_cast<Restricted*>(palloc(sizeof(Restricted)));
      *restricted = {witness.set, Copy(rows)};
      FromExpr* from = restricted->query->jointree;
      from->quals = make_and_qual(from->quals, AsNode(witness.condition));
      restricted->query->hasSubLinks = true;
      probe = lappend(probe, restricted);
    }
  }
  if (probe == NIL) return;
  if (relation->bag) GiveUp(planner, "rows with a sub-select have no key");
  StaleSet* set = AddSet(planner, relation->key, InvalidOid);
  set->probe = probe;
  relation->parts = lappend(list_copy(relation->parts), MakePart(set->number, relation->key));
}

void PlanSubLinks(Planner* planner, const Query* query, Relation* relation) {
  RequireNoJoinSubLinks(planner, AsNode(query->jointree));
  List* links = SubLinksOf(planner, query);
  if (links == NIL) return;
  ListCell* cell;
  foreach (cell, links)
    if (contain_aggs_of_level(castNode(SubLink, lfirst(cell))->subselect, 1))
      GiveUp(planner, "a sub-select contains an aggregate of what is around it");
  Query* rows = Selecting(query, Step::kGroup, relation->key);
  rows->jointree->quals = PlainQuals(query);
  AddSubLinks(planner, rows, links,
              make_ands_implicit(reinterpret_cast<Expr*>(query->jointree->quals)), relation);
}

// Row security that asks other tables.
void PlanPolicies(Planner* planner, const Query* query, int index, Relation* table) {
  List* links = SubLinksIn(AsNode(rt_fetch(index, query->rtable)->securityQuals));
  if (links == NIL) return;
  Query* rows = Selecting(query, Step::kGroup, table->key);
  RangeTblRef* reference = makeNode(RangeTblRef);
  reference->rtindex = index;
  ReadAlone(rows, AsNode(reference));
  RangeTblEntry* entry = rt_fetch(index, rows->rtable);
  List* plain = NIL;
  ListCell* cell;
  foreach (cell, entry->securityQuals)
    if (!checkExprHasSubLink(static_cast<Node*>(lfirst(cell))))
      plain = lappend(plain, lfirst(cell));
  entry->securityQuals = plain;
  AddSubLinks(planner, rows, links, NIL, table);
}

// ----- a level -----

// Moves `target` behind all that are selected, to be the last of these.
AttrNumber Select(Query* query, TargetEntry* target) {
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
  if (found == nullptr) found = makeTargetEntry(Copy(expression), 0, nullptr, true);
  return Select(query, found);
}

// Decides ties by what names the rows. What SQL leaves open has to be the same each time.
void DecideTies(Planner* planner, Query* query, List* key, bool bag) {
  if (query->limitCount == nullptr && query->limitOffset == nullptr) return;
  if (bag) return GiveUp(planner, "it contains LIMIT or OFFSET on rows without a key");
  ListCell* cell;
  foreach (cell, key) {
    TargetEntry* target =
        get_tle_by_resno(query->targetList, static_cast<AttrNumber>(lfirst_int(cell)));
    if (targetIsInSortList(target, InvalidOid, query->sortClause)) continue;
    SortGroupClause* order = makeNode(SortGroupClause);
    get_sort_group_operators(exprType(AsNode(target->expr)), true, true, false, &order->sortop,
                             &order->eqop, nullptr, &order->hashable);
    order->tleSortGroupRef = assignSortGroupRef(target, query->targetList);
    query->sortClause = lappend(query->sortClause, order);
  }
}

List* HiddenColumns(Query* query, List* expressions) {
  List* numbers = NIL;
  ListCell* cell;
  foreach (cell, expressions)
    numbers = lappend_int(numbers, HiddenColumn(query, static_cast<Expr*>(lfirst(cell))));
  return numbers;
}

// `query` with all that the level around it has to know in its result columns.
Level Finish(Planner* planner, Query* query, const Relation& relation, bool bag) {
  Level level = {query, HiddenColumns(query, relation.key), bag, NIL};
  DecideTies(planner, query, level.key, bag);
  ListCell* cell;
  foreach (cell, relation.parts) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    level.parts = lappend(level.parts, MakePart(part.set, HiddenColumns(query, part.expressions)));
  }
  return level;
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

// What is stale of a level that selects, groups and so on from `relation`.
void PlanSteps(Planner* planner, const Query* query, Relation* relation) {
  if (query->groupingSets != NIL) GiveUp(planner, "it contains GROUPING SETS");
  if (query->hasTargetSRFs) GiveUp(planner, "it contains set-returning functions");
  if (query->hasAggs || query->groupClause != NIL || query->havingQual != nullptr) {
    relation->key = ExpressionsOf(query->groupClause, query->targetList);
    relation->bag = false;
    Coarsen(planner, query, Step::kGroup, relation->key, relation);
  }
  if (query->hasWindowFuncs)
    Coarsen(planner, query, Step::kWindow, CommonPartition(*query), relation);
  if (query->distinctClause != NIL) {
    relation->key = ExpressionsOf(query->distinctClause, query->targetList);
    relation->bag = false;
    if (contain_windowfuncs(AsNode(relation->key)))
      GiveUp(planner, "it contains DISTINCT of window functions");
    Coarsen(planner, query, Step::kDistinct, relation->key, relation);
  }
  if (query->limitCount != nullptr || query->limitOffset != nullptr)
    Coarsen(planner, query, Step::kLimit, NIL, relation);
}

// Numbers of all result columns that are shown.
List* AllColumns(const Query& query) {
  List* numbers = NIL;
  ListCell* cell;
  foreach (cell, query.targetList) {
    const auto* target = lfirst_node(TargetEntry, cell);
    if (!target->resjunk) numbers = lappend_int(numbers, target->resno);
  }
  return numbers;
}

// The stale rows of `level` as what they are shown as, its hidden columns left out.
List* ProbeShown(const Planner& planner, const Level& level, int shown) {
  List* probe = NIL;
  ListCell* cell;
  foreach (cell, level.parts) {
    const Part part = InExpressions(*static_cast<Part*>(lfirst(cell)), *level.query);
    Restricted* restricted = static_cast<Restricted*>(palloc(sizeof(Restricted)));
    *restricted = {part.set, Copy(level.query)};
    RestrictTo(restricted->query, planner, part);
    ListCell* target;
    foreach (target, restricted->query->targetList)
      if (lfirst_node(TargetEntry, target)->resno > shown)
        lfirst_node(TargetEntry, target)->resjunk = true;
    probe = lappend(probe, restricted);
  }
  return probe;
}

Level PlanSetOperation(Planner* planner, Query* query) {
  const List* columns = AllColumns(*query);
  List* probe = NIL;
  ListCell* cell;
  foreach (cell, query->rtable) {
    const Level leaf = PlanLevel(planner, Copy(lfirst_node(RangeTblEntry, cell)->subquery));
    probe = list_concat(probe, ProbeShown(*planner, leaf, list_length(columns)));
  }
  Relation relation = {Visible(query->targetList), true, NIL};
  if (probe != NIL) {
    StaleSet* set = AddSet(planner, relation.key, InvalidOid);
    set->probe = probe;
    relation.parts = list_make1(MakePart(set->number, relation.key));
  }
  if (query->limitCount != nullptr || query->limitOffset != nullptr)
    Coarsen(planner, query, Step::kLimit, NIL, &relation);
  return Finish(planner, query, relation, castNode(SetOperationStmt, query->setOperations)->all);
}

Level PlanLevel(Planner* planner, Query* query) {
  if (query->setOperations != nullptr) return PlanSetOperation(planner, query);
  if (query->rowMarks != NIL) GiveUp(planner, "it locks rows");
  query->targetList = castNode(List, FlattenJoinVars(query, AsNode(query->targetList)));
  query->jointree = castNode(FromExpr, FlattenJoinVars(query, AsNode(query->jointree)));
  Relation relation = PlanJoinTree(planner, query, AsNode(query->jointree));
  PlanSubLinks(planner, query, &relation);
  PlanSteps(planner, query, &relation);
  return Finish(planner, query, relation, relation.bag);
}

// That a row is not of `part`, so that no row is in two of the restricted queries.
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
  query->jointree->quals = make_and_qual(query->jointree->quals, AsNode(test));
}

// ----- WITH -----

struct CteContext {
  Planner* planner;
  List* levels;  // Query*, from the innermost
};

bool InlineCtesIn(Node* node, CteContext* context);

const CommonTableExpr* FindCte(const CteContext& context, const RangeTblEntry& entry) {
  if (static_cast<int>(entry.ctelevelsup) >= list_length(context.levels)) return nullptr;
  const auto* query = static_cast<Query*>(list_nth(context.levels, entry.ctelevelsup));
  ListCell* cell;
  foreach (cell, query->cteList) {
    const auto* cte = lfirst_node(CommonTableExpr, cell);
    if (strcmp(cte->ctename, entry.ctename) == 0) return cte;
  }
  return nullptr;
}

void InlineCte(RangeTblEntry* entry, const CteContext& context) {
  const CommonTableExpr* cte = FindCte(context, *entry);
  if (entry->self_reference || cte == nullptr || cte->cterecursive)
    return GiveUp(context.planner, "it contains WITH RECURSIVE");
  entry->rtekind = RTE_SUBQUERY;
  entry->subquery = castNode(Query, Copy(cte->ctequery));
  if (entry->ctelevelsup > 0)
    IncrementVarSublevelsUp(AsNode(entry->subquery), static_cast<int>(entry->ctelevelsup), 1);
  entry->ctename = nullptr;
  entry->ctelevelsup = 0;
  entry->security_barrier = false;
}

bool InlineCtesIn(Node* node, CteContext* context) {
  if (node == nullptr) return false;
  if (!IsA(node, Query)) return WalkChildren(node, InlineCtesIn, context);
  Query* query = castNode(Query, node);
  CteContext here = {context->planner, lcons(query, context->levels)};
  ListCell* cell;
  foreach (cell, query->cteList)  // before they are copied
    (void)InlineCtesIn(lfirst_node(CommonTableExpr, cell)->ctequery, &here);
  foreach (cell, query->rtable)
    if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_CTE)
      InlineCte(lfirst_node(RangeTblEntry, cell), here);
  (void)WalkChildren(node, InlineCtesIn, &here);
  query->cteList = NIL;
  return false;
}

// Each reference to a query of WITH becomes that query.
void InlineCtes(Planner* planner, Query* query) {
  CteContext context = {planner, NIL};
  (void)InlineCtesIn(AsNode(query), &context);
}

}  // namespace

DeltaPlan PlanDelta(const Query* query) {
  Planner planner;
  Query* copy = Copy(query);
  InlineCtes(&planner, copy);
  const int shown = list_length(Visible(copy->targetList));
  const Level level = PlanLevel(&planner, copy);
  DeltaPlan plan = {level.query, shown,          level.key,         level.bag,     planner.sets,
                    NIL,         planner.params, planner.why_whole, planner.tables};
  if (planner.why_whole != nullptr) return plan;
  ListCell* cell;
  foreach (cell, level.parts) {
    const Part part = InExpressions(*static_cast<Part*>(lfirst(cell)), *level.query);
    Restricted* restricted = static_cast<Restricted*>(palloc(sizeof(Restricted)));
    *restricted = {part.set, Copy(level.query)};
    ListCell* earlier;
    foreach (earlier, level.parts) {
      if (lfirst(earlier) == lfirst(cell)) break;
      LeaveOutPart(restricted->query, planner,
                   InExpressions(*static_cast<Part*>(lfirst(earlier)), *level.query));
    }
    RestrictTo(restricted->query, planner, part);
    plan.restricted = lappend(plan.restricted, restricted);
  }
  return plan;
}

}  // namespace live_queries
