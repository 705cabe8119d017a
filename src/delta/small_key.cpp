// An entry is fixed by others where each column of its key is equal to an expression over these.
// What is fixed by what is kept, directly or by way of what is fixed itself, is left out. Process:
// client backend, evaluator.
#include "delta/small_key.hpp"

#include "analyze/equal_values.hpp"
#include "analyze/tree.hpp"
#include "delta/restriction.hpp"

extern "C" {
#include "access/nbtree.h"
#include "catalog/pg_am.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// A column of a key, and what a condition says that it is equal to.
struct Equality {
  const Var* column;
  Bitmapset* of;  // the entries from which the other side is computed
};

struct Facts {
  const Query* query;
  List* key;
  List* equalities;  // Equality*
};

// Whether columns that the operator finds equal to one value are one, by the keys of tables and
// groups as well.
bool FixesValue(const OpExpr& test, const Var& column) {
  const Oid type = getBaseType(column.vartype);
  const Oid operator_class = GetDefaultOpClass(type, BTREE_AM_OID);
  return OidIsValid(operator_class) &&
         get_op_opfamily_strategy(test.opno, get_opclass_family(operator_class)) ==
             BTEqualStrategyNumber &&
         EqualMeansSame(column.vartype, column.vartypmod, column.varcollid) &&
         (!type_is_collatable(type) || test.inputcollid == column.varcollid);
}

// `index`: the only entry of which columns may be fixed; 0: any that is never without a partner.
void NoteEquality(const OpExpr& test, Node* column, Node* other, int index, Facts* facts) {
  Node* plain = WithoutRelabel(column);
  if (!IsA(plain, Var) || castNode(Var, plain)->varlevelsup != 0) return;
  const Var* var = castNode(Var, plain);
  const bool fixed = index != 0 ? static_cast<int>(var->varno) == index
                                : !IsNullable(AsNode(facts->query->jointree), var->varno, false);
  if (!fixed || !list_member(facts->key, var) || !FixesValue(test, *var)) return;
  Bitmapset* of = pull_varnos_of_level(nullptr, other, 0);
  if (bms_is_member(var->varno, of)) return;
  Equality* equality = static_cast<Equality*>(palloc(sizeof(Equality)));
  *equality = {var, of};
  facts->equalities = lappend(facts->equalities, equality);
}

void NoteEqualities(Node* quals, int index, Facts* facts) {
  List* conjuncts = make_ands_implicit(reinterpret_cast<Expr*>(quals));
  ListCell* cell;
  foreach (cell, conjuncts) {
    if (!IsA(lfirst(cell), OpExpr) || checkExprHasSubLink(static_cast<Node*>(lfirst(cell))))
      continue;
    const auto& test = *lfirst_node(OpExpr, cell);
    if (list_length(test.args) != 2) continue;
    Node* left = static_cast<Node*>(linitial(test.args));
    Node* right = static_cast<Node*>(lsecond(test.args));
    NoteEquality(test, left, right, index, facts);
    NoteEquality(test, right, left, index, facts);
  }
}

// The conditions of joins that hold for all rows, and those by which one entry finds its row.
void NoteJoins(Node* node, Facts* facts) {
  if (IsA(node, FromExpr)) {
    ListCell* cell;
    foreach (cell, castNode(FromExpr, node)->fromlist)
      NoteJoins(static_cast<Node*>(lfirst(cell)), facts);
    NoteEqualities(castNode(FromExpr, node)->quals, 0, facts);
  }
  if (!IsA(node, JoinExpr)) return;
  const auto* join = castNode(JoinExpr, node);
  if (join->jointype == JOIN_INNER) {
    NoteJoins(join->larg, facts);
    NoteJoins(join->rarg, facts);
    NoteEqualities(join->quals, 0, facts);
  } else if (join->jointype == JOIN_LEFT || join->jointype == JOIN_RIGHT) {
    Node* kept = join->jointype == JOIN_LEFT ? join->larg : join->rarg;
    Node* found = join->jointype == JOIN_LEFT ? join->rarg : join->larg;
    NoteJoins(kept, facts);
    if (IsA(found, RangeTblRef))
      NoteEqualities(join->quals, castNode(RangeTblRef, found)->rtindex, facts);
  }
}

// Whether all columns of the key that are of entry `index` are equal to what is known.
bool IsFixed(const Facts& facts, int index, const Bitmapset* known) {
  bool any = false;
  ListCell* cell;
  foreach (cell, facts.key) {
    const auto* column = lfirst_node(Var, cell);
    if (static_cast<int>(column->varno) != index) continue;
    any = true;
    bool fixed = false;
    ListCell* other;
    foreach (other, facts.equalities) {
      const auto& equality = *static_cast<Equality*>(lfirst(other));
      fixed = fixed || (equal(equality.column, column) && bms_is_subset(equality.of, known));
    }
    if (!fixed) return false;
  }
  return any;
}

// Whether `kept` fix all `entries`.
bool FixAll(const Facts& facts, const Bitmapset* kept, const Bitmapset* entries) {
  Bitmapset* known = bms_copy(kept);
  for (bool more = true; more;) {
    more = false;
    for (int index = -1; (index = bms_next_member(entries, index)) >= 0;) {
      if (bms_is_member(index, known) || !IsFixed(facts, index, known)) continue;
      known = bms_add_member(known, index);
      more = true;
    }
  }
  return bms_is_subset(entries, known);
}

}  // namespace

List* SmallKey(const Query* query, List* key) {
  Bitmapset* entries = nullptr;
  ListCell* cell;
  foreach (cell, key) {
    if (!IsA(lfirst(cell), Var)) return key;
    entries = bms_add_member(entries, static_cast<int>(lfirst_node(Var, cell)->varno));
  }
  if (bms_num_members(entries) < 2) return key;
  Facts facts = {query, key, NIL};
  NoteJoins(AsNode(query->jointree), &facts);
  Bitmapset* kept = bms_copy(entries);
  for (int index = -1; (index = bms_next_member(entries, index)) >= 0;) {
    Bitmapset* without = bms_del_member(bms_copy(kept), index);
    if (FixAll(facts, without, entries)) kept = without;
  }
  List* small = NIL;
  foreach (cell, key)
    if (bms_is_member(static_cast<int>(lfirst_node(Var, cell)->varno), kept))
      small = lappend(small, lfirst(cell));
  return small;
}

}  // namespace live_queries
