// Chooses by the kinds of the conditions: an equality before a list, both before keys, these before
// a prefix, and that before bounds. Process: client backend, decoder.
#include "analyze/routing_choice.hpp"

#include "analyze/text_patterns.hpp"
#include "analyze/tree.hpp"
#include "analyze/value_keys.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

const OpExpr* AsOperator(const Node* condition) {
  return reinterpret_cast<const OpExpr*>(condition);
}

const ScalarArrayOpExpr* AsAny(const Node* condition) {
  return reinterpret_cast<const ScalarArrayOpExpr*>(condition);
}

List* ArgumentsOf(const Node* condition) {
  return IsA(condition, ScalarArrayOpExpr) ? AsAny(condition)->args : AsOperator(condition)->args;
}

// Whether comparing two values runs no code of users: where it fails, nobody could tell whose
// bound has failed, if many are in one index.
bool OrdersByServer(Oid type) {
  const TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_CMP_PROC);
  const bool known = type < FirstNormalObjectId || get_typtype(type) == TYPTYPE_ENUM;
  return known && entry->cmp_proc < FirstNormalObjectId;
}

bool CompareAlike(const Node* a, const Node* b) {
  return RoutingColumn(a)->varattno == RoutingColumn(b)->varattno &&
         exprType(ComparedColumn(a)) == exprType(ComparedColumn(b)) &&
         CollationOf(a) == CollationOf(b);
}

// All equalities, and the first list.
List* HashedConditions(List* conditions) {
  List* hashed = NIL;
  bool list = false;
  ListCell* cell;
  foreach (cell, conditions) {
    const RoutingKind kind = KindOf(static_cast<Node*>(lfirst(cell)));
    const bool first_list = kind == RoutingKind::kList && !list;
    if (kind != RoutingKind::kEquality && !first_list) continue;
    list = list || first_list;
    hashed = lappend_int(hashed, foreach_current_index(cell));
  }
  return hashed;
}

List* FirstOf(RoutingKind kind, List* conditions) {
  ListCell* cell;
  foreach (cell, conditions)
    if (KindOf(static_cast<Node*>(lfirst(cell))) == kind)
      return list_make1_int(foreach_current_index(cell));
  return NIL;
}

// Of the first column with bounds, the first low one and the first high one.
List* BoundsOfOneColumn(List* conditions) {
  List* bounds = NIL;
  const Node* first = nullptr;
  bool low = false;
  bool high = false;
  ListCell* cell;
  foreach (cell, conditions) {
    const Node* condition = static_cast<Node*>(lfirst(cell));
    if (first == nullptr && !OrdersByServer(exprType(ComparedColumn(condition)))) continue;
    if (first == nullptr) first = condition;
    if (!CompareAlike(first, condition)) continue;
    bool& has = IsLowBound(StrategyOf(condition)) ? low : high;
    if (has) continue;
    has = true;
    bounds = lappend_int(bounds, foreach_current_index(cell));
  }
  return bounds;
}

// Without those that are checked.
RoutingChoice ChooseIndexed(List* conditions) {
  if (List* hashed = HashedConditions(conditions)) return {RoutingIndexKind::kHash, hashed, NIL};
  if (List* keys = FirstOf(RoutingKind::kKeys, conditions))
    return {RoutingIndexKind::kKeys, keys, NIL};
  if (List* prefix = FirstOf(RoutingKind::kPrefix, conditions))
    return {RoutingIndexKind::kIntervals, prefix, NIL};
  if (List* bounds = BoundsOfOneColumn(conditions))
    return {RoutingIndexKind::kIntervals, bounds, NIL};
  return {RoutingIndexKind::kNone, NIL, NIL};
}

}  // namespace

RoutingChoice ChooseRoutingIndex(List* conditions) {
  RoutingChoice choice = ChooseIndexed(conditions);
  for (int i = 0; i < list_length(conditions); ++i) {
    const RoutingKind kind = KindOf(static_cast<Node*>(list_nth(conditions, i)));
    const bool asks_for_more = kind == RoutingKind::kKeys || kind == RoutingKind::kPrefix;
    if (asks_for_more || !list_member_int(choice.indexed, i))
      choice.checked = lappend_int(choice.checked, i);
  }
  return choice;
}

RoutingKind KindOf(const Node* condition) {
  if (IsA(condition, ScalarArrayOpExpr)) return RoutingKind::kList;
  const Oid function = get_opcode(AsOperator(condition)->opno);
  if (TakesPattern(function)) return RoutingKind::kPrefix;
  if (AsksForKeys(function)) return RoutingKind::kKeys;
  const Oid type = exprType(ComparedColumn(condition));
  const TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_EQ_OPR);
  return AsOperator(condition)->opno == entry->eq_opr ? RoutingKind::kEquality
                                                      : RoutingKind::kBound;
}

Node* ComparedColumn(const Node* condition) {
  return static_cast<Node*>(linitial(ArgumentsOf(condition)));
}

const Var* RoutingColumn(const Node* condition) {
  return castNode(Var, WithoutRelabel(ComparedColumn(condition)));
}

Oid CollationOf(const Node* condition) {
  return IsA(condition, ScalarArrayOpExpr) ? AsAny(condition)->inputcollid
                                           : AsOperator(condition)->inputcollid;
}

StrategyNumber StrategyOf(const Node* condition) {
  const Oid type = exprType(ComparedColumn(condition));
  const TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
  return static_cast<StrategyNumber>(
      get_op_opfamily_strategy(AsOperator(condition)->opno, entry->btree_opf));
}

}  // namespace live_queries
