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

Relation PlanTable(Planner* planner, int index, const RangeTblEntry& entry) {
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
  return {identity, identity == NIL, list_make1(MakePart(set->number, identity))};
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
    TargetEntry* target = list_nth_node(TargetEntry, level.query->targetList, n);
    if (target->resname == nullptr) target->resname = pstrdup("?hidden");
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
  if (checkExprHasSubLink(AsNode(entry->securityQuals)))
    GiveUp(planner, "a policy contains a sub-select");
  switch (entry->rtekind) {
    case RTE_RELATION:
      return PlanTable(planner, index, *entry);
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

// Lets `query` read what `join` joins, and nothing else.
void ReadJoinAlone(Query* query, JoinExpr* join) {
  query->jointree = makeFromExpr(list_make1(join), nullptr);
  Bitmapset* joined = nullptr;
  NoteJoined(AsNode(join), &joined);
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
    ReadJoinAlone(probe, inner_join);
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
  if (target->resname == nullptr) target->resname = pstrdup("?hidden");
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
  if (query->hasSubLinks) GiveUp(planner, "it contains a sub-select");
  if (query->rowMarks != NIL) GiveUp(planner, "it locks rows");
  query->targetList = castNode(List, FlattenJoinVars(query, AsNode(query->targetList)));
  query->jointree = castNode(FromExpr, FlattenJoinVars(query, AsNode(query->jointree)));
  Relation relation = PlanJoinTree(planner, query, AsNode(query->jointree));
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
