// What a level reads: tables by their identities, levels below it by what is stale of them, joins
// by what is of either side. Process: client backend, evaluator.
#include "analyze/table_facts.hpp"
#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"
#include "delta/relevant_rows.hpp"
#include "delta/restriction.hpp"

extern "C" {
#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace live_queries {
namespace {

// Whether no two rows of the table of that index are equal in `columns`, those of the index, as
// queries compare them: it may tell rows apart by other operators, or in another collation.
bool IsUnique(Oid oid, const List* columns) {
  Relation index = index_open(oid, AccessShareLock);
  bool unique = index->rd_rel->relam == BTREE_AM_OID;
  ListCell* cell;
  foreach (cell, columns) {
    const auto& column = *static_cast<SetColumn*>(lfirst(cell));
    const int i = foreach_current_index(cell);
    unique =
        unique && index->rd_indcollation[i] == column.collation &&
        get_op_opfamily_strategy(column.equality, index->rd_opfamily[i]) == BTEqualStrategyNumber;
  }
  index_close(index, AccessShareLock);
  return unique;
}

PlannedRelation PlanTable(Planner* planner, const Query* query, int index,
                          const RangeTblEntry& entry) {
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
  set->unique = identity != NIL && IsUnique(facts.key_index, set->columns);
  set->entry = query == planner->outermost ? index : 0;
  set->relevant = PlanRelevantRows(query, index, *set);
  PlannedRelation table = {identity, identity == NIL, list_make1(MakePart(set->number, identity))};
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

PlannedRelation PlanSubquery(Planner* planner, int index, RangeTblEntry* entry) {
  const Level level = PlanLevel(planner, entry->subquery);
  entry->subquery = level.query;
  // What was added has to have a name.
  for (int n = list_length(entry->eref->colnames); n < list_length(level.query->targetList); ++n) {
    const auto* target = list_nth_node(TargetEntry, level.query->targetList, n);
    if (target->resjunk) break;
    entry->eref->colnames = lappend(entry->eref->colnames, makeString(pstrdup(target->resname)));
  }
  PlannedRelation relation = {ColumnsOf(index, level.key, *level.query), level.bag, NIL};
  ListCell* cell;
  foreach (cell, level.parts) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    relation.parts = lappend(relation.parts,
                             MakePart(part.set, ColumnsOf(index, part.expressions, *level.query)));
  }
  return relation;
}

// Whether a VALUES has constant rows, none of them twice.
bool IsConstantSet(List* rows) {
  constexpr int kMostRows = 1000;  // each is compared with each
  if (list_length(rows) > kMostRows) return false;
  ListCell* cell;
  foreach (cell, rows) {
    ListCell* value;
    foreach (value, lfirst_node(List, cell))
      if (!IsA(lfirst(value), Const)) return false;
    for (int i = 0; i < foreach_current_index(cell); ++i)
      if (equal(list_nth(rows, i), lfirst(cell))) return false;
  }
  return true;
}

// Rows that are the same at all times.
PlannedRelation PlanConstant(Planner* planner, int index, RangeTblEntry* entry) {
  auto* rows =
      entry->rtekind == RTE_VALUES ? AsNode(entry->values_lists) : AsNode(entry->functions);
  if (checkExprHasSubLink(rows)) GiveUp(planner, "it computes rows from a sub-select");
  if (entry->rtekind == RTE_FUNCTION) {
    List* place = PlaceInFunction(index, entry);
    return {place, place == NIL, NIL};
  }
  if (!IsConstantSet(entry->values_lists)) return {NIL, true, NIL};
  List* columns = NIL;
  ListCell* type;
  ListCell* typmod;
  ListCell* collation;
  forthree(type, entry->coltypes, typmod, entry->coltypmods, collation, entry->colcollations) {
    const auto number = static_cast<AttrNumber>(list_length(columns) + 1);
    columns = lappend(columns, makeVar(index, number, lfirst_oid(type), lfirst_int(typmod),
                                       lfirst_oid(collation), 0));
  }
  return {columns, false, NIL};
}

PlannedRelation PlanEntry(Planner* planner, Query* query, int index) {
  RangeTblEntry* entry = rt_fetch(index, query->rtable);
  if (RefersToOthers(*entry)) {
    GiveUp(planner, "LATERAL refers to what stands outside of its join");
    return {NIL, true, NIL};
  }
  switch (entry->rtekind) {
    case RTE_RELATION:
      return PlanTable(planner, query, index, *entry);
    case RTE_SUBQUERY:
      return PlanSubquery(planner, index, entry);
    case RTE_RESULT:
      return {NIL, false, NIL};
    case RTE_VALUES:
    case RTE_FUNCTION:
      return PlanConstant(planner, index, entry);
    default:
      GiveUp(planner, "it reads something that is no table");
      return {NIL, true, NIL};
  }
}

PlannedRelation Together(const PlannedRelation& a, const PlannedRelation& b) {
  return {list_concat_copy(a.key, b.key), a.bag || b.bag, list_concat_copy(a.parts, b.parts)};
}

// Adds to what is stale of `outer`, one side of an outer join, the rows that have a partner among
// the stale rows of `inner`, the other side.
void ProbePartners(Planner* planner, const Query* query, const JoinExpr* join,
                   const PlannedRelation& inner, PlannedRelation* outer) {
  List* partners = NIL;
  ListCell* cell;
  foreach (cell, inner.parts) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    Query* probe = SelectingMatched(query, join, outer->key);
    RestrictTo(probe, *planner, part);
    partners = lappend(partners, MakeRestricted(part.set, probe));
  }
  AddPart(planner, outer->key, partners, outer);
}

PlannedRelation PlanOuterJoin(Planner* planner, const Query* query, const JoinExpr* join,
                              PlannedRelation* outer, const PlannedRelation& inner) {
  if (outer->bag) GiveUp(planner, "rows on the outer side of a join have no key");
  ProbePartners(planner, query, join, inner, outer);
  PlanJoinSubLinks(planner, query, join, outer);
  return {list_concat_copy(outer->key, inner.key), outer->bag || inner.bag, outer->parts};
}

// Whether a row of `key`, of what `node` joins, is never one of NULLs alone.
bool IsNeverNull(const Query* query, Node* node, List* key) {
  ListCell* cell;
  foreach (cell, key) {
    if (!IsA(lfirst(cell), Var)) continue;
    const auto* var = lfirst_node(Var, cell);
    if (rt_fetch(var->varno, query->rtable)->rtekind == RTE_RELATION &&
        !IsNullable(node, var->varno, false))
      return true;
  }
  return false;
}

// The rows of either side, with and without a partner: a row that has neither's stale key is in
// none of these, and there are no others.
PlannedRelation PlanFullJoin(Planner* planner, const Query* query, const JoinExpr* join,
                             PlannedRelation* left, PlannedRelation* right) {
  if (left->bag || right->bag) GiveUp(planner, "rows on the outer side of a join have no key");
  if (checkExprHasSubLink(join->quals))
    GiveUp(planner, "the condition of a FULL JOIN contains a sub-select");
  const PlannedRelation right_before = *right;
  ProbePartners(planner, query, join, *left, right);
  ProbePartners(planner, query, join, right_before, left);
  PlannedRelation relation = Together(*left, *right);
  // A row of NULLs of one side could not be told from one of the other.
  relation.bag = relation.bag || (!IsNeverNull(query, join->larg, left->key) &&
                                  !IsNeverNull(query, join->rarg, right->key));
  return relation;
}

// Number of the entry that `node` is, if that is computed for each row of others; 0 if it is not.
int LateralIndex(const Query* query, Node* node) {
  if (!IsA(node, RangeTblRef)) return 0;
  const int index = castNode(RangeTblRef, node)->rtindex;
  return RefersToOthers(*rt_fetch(index, query->rtable)) ? index : 0;
}

PlannedRelation PlanJoin(Planner* planner, Query* query, JoinExpr* join) {
  PlannedRelation left = PlanFrom(planner, query, join->larg);
  if (const int lateral = LateralIndex(query, join->rarg); lateral != 0) {
    PlanLateral(planner, query, lateral, list_make1(join->larg), &left);
    PlanJoinSubLinks(planner, query, join, &left);
    return left;
  }
  PlannedRelation right = PlanFrom(planner, query, join->rarg);
  switch (join->jointype) {
    case JOIN_INNER: {
      PlannedRelation both = Together(left, right);
      PlanJoinSubLinks(planner, query, join, &both);
      return both;
    }
    case JOIN_LEFT:
      return PlanOuterJoin(planner, query, join, &left, right);
    case JOIN_RIGHT:
      return PlanOuterJoin(planner, query, join, &right, left);
    default:
      return PlanFullJoin(planner, query, join, &left, &right);
  }
}

// Whether a whole row of `entry` is the value that its one function gives.
bool GivesOneValue(const RangeTblEntry& entry) {
  if (list_length(entry.functions) != 1) return false;
  const auto* function = linitial_node(RangeTblFunction, entry.functions);
  Oid type;
  TupleDesc row;
  return function->funccolnames == NIL &&
         get_expr_result_type(function->funcexpr, &type, &row) == TYPEFUNC_SCALAR;
}

}  // namespace

List* PlaceInFunction(int index, RangeTblEntry* entry) {
  if (!entry->funcordinality) {
    if (!GivesOneValue(*entry)) return NIL;
    entry->funcordinality = true;
    entry->eref->colnames = lappend(entry->eref->colnames, makeString(pstrdup("?place")));
  }
  int columns = 0;
  ListCell* cell;
  foreach (cell, entry->functions) columns += lfirst_node(RangeTblFunction, cell)->funccolcount;
  return list_make1(
      makeVar(index, static_cast<AttrNumber>(columns + 1), INT8OID, -1, InvalidOid, 0));
}

PlannedRelation PlanFrom(Planner* planner, Query* query, Node* node) {
  if (IsA(node, RangeTblRef))
    return PlanEntry(planner, query, castNode(RangeTblRef, node)->rtindex);
  if (IsA(node, JoinExpr)) return PlanJoin(planner, query, castNode(JoinExpr, node));
  PlannedRelation all = {NIL, false, NIL};
  ListCell* cell;
  List* before = NIL;
  foreach (cell, castNode(FromExpr, node)->fromlist) {
    Node* item = static_cast<Node*>(lfirst(cell));
    if (const int lateral = LateralIndex(query, item); lateral != 0)
      PlanLateral(planner, query, lateral, before, &all);
    else
      all = Together(all, PlanFrom(planner, query, item));
    before = lappend(before, item);
  }
  return all;
}

}  // namespace live_queries
