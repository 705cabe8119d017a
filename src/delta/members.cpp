// A row of `members` is the only one where the conditions, equalities with the row around it and
// with constants, fix a unique key of that table: then a join doubles nothing. Process: client
// backend, evaluator.
#include "delta/members.hpp"

#include "analyze/pull_up.hpp"
#include "analyze/routing_conditions.hpp"
#include "analyze/table_facts.hpp"
#include "analyze/tree.hpp"
#include "delta/sub_select_test.hpp"
#include "pg/compat.hpp"
#include "pg/fault.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
}

namespace live_queries {
namespace {

// A column of `members` that is equal to something else.
struct FixedColumn {
  AttrNumber number;
  Oid operation;
  Oid collation;
};

bool Reads(Node* node, Index levels_up) {
  return contain_vars_of_level(node, static_cast<int>(levels_up));
}

void NoteFixed(const OpExpr& test, Node* column, Node* other, List** fixed) {
  column = WithoutRelabel(column);
  if (!IsA(column, Var) || castNode(Var, column)->varlevelsup != 0 || Reads(other, 0)) return;
  auto* found = static_cast<FixedColumn*>(palloc(sizeof(FixedColumn)));
  *found = {castNode(Var, column)->varattno, test.opno, test.inputcollid};
  *fixed = lappend(*fixed, found);
}

List* FixedColumns(List* conjuncts) {
  List* fixed = NIL;
  ListCell* cell;
  foreach (cell, conjuncts) {
    if (!IsA(lfirst(cell), OpExpr)) continue;
    const auto& test = *lfirst_node(OpExpr, cell);
    if (list_length(test.args) != 2) continue;
    Node* left = static_cast<Node*>(linitial(test.args));
    Node* right = static_cast<Node*>(lsecond(test.args));
    NoteFixed(test, left, right, &fixed);
    NoteFixed(test, right, left, &fixed);
  }
  return fixed;
}

// Whether `fixed` has a column, by an equality of the index.
bool IsFixed(List* fixed, AttrNumber column, Oid family, Oid collation) {
  ListCell* cell;
  foreach (cell, fixed) {
    const auto& one = *static_cast<FixedColumn*>(lfirst(cell));
    if (one.number == column &&
        get_op_opfamily_strategy(one.operation, family) == BTEqualStrategyNumber &&
        (!OidIsValid(collation) || one.collation == collation))
      return true;
  }
  return false;
}

bool FixesKey(List* fixed, Oid oid) {
  List* columns = IndexColumns(oid);
  if (columns == NIL) return false;
  Relation index = index_open(oid, AccessShareLock);
  // A key WITHOUT OVERLAPS is none of equal values.
  bool all = index->rd_rel->relam == BTREE_AM_OID &&
             heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr);
  ListCell* cell;
  foreach (cell, columns) {
    const int i = foreach_current_index(cell);
    all = all && IsFixed(fixed, static_cast<AttrNumber>(lfirst_int(cell)), index->rd_opfamily[i],
                         index->rd_indcollation[i]);
  }
  index_close(index, NoLock);
  return all;
}

// Whether no two rows of `table`, whole, agree with `fixed`.
bool HoldsOneRow(const RangeTblEntry& table, List* fixed) {
  if (LIVE_QUERIES_MUTATION("join_any_members")) return true;
  Relation relation = table_open(table.relid, AccessShareLock);
  const bool whole = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ||
                     list_length(LookAtTable(table).relations) == 1;
  List* indexes = whole ? RelationGetIndexList(relation) : NIL;
  table_close(relation, NoLock);
  ListCell* cell;
  foreach (cell, indexes)
    if (FixesKey(fixed, lfirst_oid(cell))) return true;
  return false;
}

// Whether one of the conditions is that a column is a constant by which rows can be routed.
bool AsksWho(List* conjuncts) {
  List* own = NIL;
  ListCell* cell;
  foreach (cell, conjuncts)
    if (!Reads(static_cast<Node*>(lfirst(cell)), 1)) own = lappend(own, lfirst(cell));
  return SplitRouting(own, false).conditions != NIL;
}

// The sub-select of a membership, with all that is asked of a row among its conditions; nullptr:
// `qual` is none.
Query* AsMembers(const Node* qual) {
  if (!IsA(qual, SubLink)) return nullptr;
  const auto& link = *castNode(SubLink, const_cast<Node*>(qual));
  if (link.subLinkType != EXISTS_SUBLINK && link.subLinkType != ANY_SUBLINK) return nullptr;
  Query* body = castNode(Query, CopyOf(link.subselect));
  if (WhyNotPlain(*body) != nullptr || SourceOf(*body)->rtekind != RTE_RELATION) return nullptr;
  if (SourceOf(*body)->tablesample != nullptr) return nullptr;
  Node** quals = &body->jointree->quals;
  List* conjuncts = make_ands_implicit(reinterpret_cast<Expr*>(*quals));
  if (link.subLinkType == ANY_SUBLINK)
    conjuncts = list_concat(conjuncts,
                            make_ands_implicit(reinterpret_cast<Expr*>(TestWithin(link, *body))));
  if (body->hasSubLinks || checkExprHasSubLink(AsNode(conjuncts))) return nullptr;
  *quals = AsNode(make_ands_explicit(conjuncts));
  const bool joins = AsksWho(conjuncts) && HoldsOneRow(*SourceOf(*body), FixedColumns(conjuncts));
  return joins ? body : nullptr;
}

// Lets `query` read what `body`, a sub-select of it, reads. Returns the conditions on that.
List* Join(Query* query, Query* body) {
  OffsetVarNodes(AsNode(body), list_length(query->rtable), 0);
  IncrementVarSublevelsUp(AsNode(body), -1, 1);
  AppendRangeTable(query, body);
  query->jointree->fromlist = list_concat(query->jointree->fromlist, body->jointree->fromlist);
  query->hasRowSecurity = query->hasRowSecurity || body->hasRowSecurity;
  return make_ands_implicit(reinterpret_cast<Expr*>(body->jointree->quals));
}

// Conditions taken apart.
struct Conditions {
  List* members;  // Query, as of AsMembers
  List* others;
};

Conditions TakeApart(Node* quals) {
  Conditions conditions = {NIL, NIL};
  List* conjuncts = make_ands_implicit(reinterpret_cast<Expr*>(quals));
  ListCell* cell;
  foreach (cell, conjuncts) {
    Query* body = AsMembers(static_cast<Node*>(lfirst(cell)));
    if (body != nullptr)
      conditions.members = lappend(conditions.members, body);
    else
      conditions.others = lappend(conditions.others, lfirst(cell));
  }
  return conditions;
}

// Whether a membership could tell of the row that it is asked for.
bool AnyTells(List* members) {
  ListCell* cell;
  foreach (cell, members) {
    Node* quals = CopyOf(lfirst_node(Query, cell)->jointree->quals);
    IncrementVarSublevelsUp(quals, -1, 1);  // as contain_leaked_vars looks at one level alone
    if (contain_leaked_vars(quals)) return true;
  }
  return false;
}

// What of the row security of `entry` can route: to `*members`, and among `*quals` equalities. It
// stays where a condition beside it or behind it, such as that of a view that is a security
// barrier, could tell of the rows that it hides.
void TakePolicies(RangeTblEntry* entry, List** members, List** quals) {
  List* kept = NIL;
  bool tells = false;
  for (int i = list_length(entry->securityQuals) - 1; i >= 0; --i) {
    Node* policy = static_cast<Node*>(list_nth(entry->securityQuals, i));
    const Conditions conditions = TakeApart(policy);
    List* routes = NIL;
    List* others = NIL;
    ListCell* cell;
    foreach (cell, conditions.others) {
      const bool can = SplitRouting(list_make1(lfirst(cell)), true).conditions != NIL;
      List** list = can ? &routes : &others;
      *list = lappend(*list, lfirst(cell));
    }
    tells = tells || contain_leaked_vars(AsNode(others));
    if (tells) {
      kept = lcons(policy, kept);
      continue;
    }
    *members = list_concat(*members, conditions.members);
    *quals = list_concat(*quals, routes);
    kept = list_concat(others, kept);
    tells = AnyTells(conditions.members);
  }
  entry->securityQuals = kept;
}

// The entries that `node` joins and that no row lacks.
void CollectEntries(Node* node, Query* query, List** entries) {
  ListCell* cell;
  if (IsA(node, RangeTblRef)) {
    *entries = lappend(*entries, rt_fetch(castNode(RangeTblRef, node)->rtindex, query->rtable));
  } else if (IsA(node, FromExpr)) {
    foreach (cell, castNode(FromExpr, node)->fromlist)
      CollectEntries(static_cast<Node*>(lfirst(cell)), query, entries);
  } else {
    const auto* join = castNode(JoinExpr, node);
    if (join->jointype == JOIN_INNER || join->jointype == JOIN_LEFT)
      CollectEntries(join->larg, query, entries);
    if (join->jointype == JOIN_INNER || join->jointype == JOIN_RIGHT)
      CollectEntries(join->rarg, query, entries);
  }
}

// Of all its joins.
void CollectConditions(Node* node, List** conditions) {
  ListCell* cell;
  if (IsA(node, FromExpr)) {
    foreach (cell, castNode(FromExpr, node)->fromlist)
      CollectConditions(static_cast<Node*>(lfirst(cell)), conditions);
    *conditions = lappend(*conditions, castNode(FromExpr, node)->quals);
  } else if (IsA(node, JoinExpr)) {
    CollectConditions(castNode(JoinExpr, node)->larg, conditions);
    CollectConditions(castNode(JoinExpr, node)->rarg, conditions);
    *conditions = lappend(*conditions, castNode(JoinExpr, node)->quals);
  }
}

bool IsLeaky(Oid function, void*) { return !get_func_leakproof(function); }

// Whether anything that could tell of its arguments is called in there.
bool CallsLeaky(Node* node, void* unused) {
  if (node == nullptr) return false;
  switch (nodeTag(node)) {
    case T_MinMaxExpr:
    case T_SubscriptingRef:
    case T_CoerceToDomain:
    case T_XmlExpr:
      return true;
    default:
      return check_functions_in_node(node, IsLeaky, nullptr) ||
             WalkChildren(node, CallsLeaky, unused);
  }
}

// Whether what the level computes of a row tells nobody of that: nor what it computes of others,
// for which of those are looked at depends on the row that they are joined with.
bool IsDiscreet(const Query& query) {
  List* computed = NIL;
  CollectConditions(AsNode(query.jointree), &computed);
  const List* from = query.jointree->fromlist;
  const bool joins = list_length(from) > 1 || !IsA(linitial(from), RangeTblRef);
  ListCell* cell;
  foreach (cell, query.rtable) {
    const auto* entry = lfirst_node(RangeTblEntry, cell);
    if (entry->lateral || CallsLeaky(AsNode(entry->subquery), nullptr)) return false;
    // Of one table alone, TakePolicies knows better.
    if (joins && CallsLeaky(AsNode(entry->securityQuals), nullptr)) return false;
  }
  foreach (cell, query.targetList)
    computed = lappend(computed, lfirst_node(TargetEntry, cell)->expr);
  return query.havingQual == nullptr && !CallsLeaky(AsNode(query.cteList), nullptr) &&
         !contain_leaked_vars(AsNode(computed));
}

// Of two columns that are to be one constant, by one equality, the later is to be the former:
// otherwise a row would be there for each two members, instead of for each one. `quals` from number
// `first` on.
void JoinSameConstants(List* quals, int first) {
  List* columns = NIL;
  List* values = NIL;
  for (int i = first; i < list_length(quals); ++i) {
    const RoutingConditions split = SplitRouting(list_make1(list_nth(quals, i)), false);
    if (split.conditions == NIL) continue;
    OpExpr* test = linitial_node(OpExpr, split.conditions);
    const Node* column = static_cast<Node*>(linitial(test->args));
    const Node* same = nullptr;
    ListCell* known;
    ListCell* value;
    forboth (known, columns, value, values) {
      const Node* other = static_cast<Node*>(lfirst(known));
      if (same == nullptr && equal(lfirst(value), linitial(split.values)) &&
          exprType(other) == exprType(column) && exprCollation(other) == exprCollation(column) &&
          test->inputcollid == exprCollation(column))
        same = other;
    }
    if (same != nullptr) {
      lsecond(test->args) = CopyOf(same);
      lfirst(list_nth_cell(quals, i)) = test;
    } else if (test->inputcollid == exprCollation(column)) {
      columns = lappend(columns, const_cast<Node*>(column));
      values = lappend(values, linitial(split.values));
    }
  }
}

}  // namespace

Query* JoinMembers(const Query* query, bool of_policies) {
  if (query->setOperations != nullptr || query->jointree->fromlist == NIL) return nullptr;
  Query* joined = CopyOf(query);
  const bool of_sets = query->groupingSets != NIL;
  if (!of_sets) FlattenGroupVars(joined);
  Conditions conditions = TakeApart(joined->jointree->quals);
  const int count = list_length(conditions.others);
  if (of_policies && !of_sets && IsDiscreet(*joined)) {
    List* entries = NIL;
    CollectEntries(AsNode(joined->jointree), joined, &entries);
    ListCell* cell;
    foreach (cell, entries)
      TakePolicies(lfirst_node(RangeTblEntry, cell), &conditions.members, &conditions.others);
  }
  if (conditions.members == NIL && list_length(conditions.others) == count) return nullptr;
  List* quals = conditions.others;
  ListCell* cell;
  foreach (cell, conditions.members)
    quals = list_concat(quals, Join(joined, lfirst_node(Query, cell)));
  JoinSameConstants(quals, count);
  joined->jointree->quals = AsNode(make_ands_explicit(quals));
  joined->hasSubLinks = checkExprHasSubLink(AsNode(joined));
  return joined;
}

}  // namespace live_queries
