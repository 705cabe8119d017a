// What the operator asks, by its function; then a comparison for each end that the range has.
// Process: client backend, decoder.
#include "analyze/range_bounds.hpp"

#include "analyze/tree.hpp"

extern "C" {
#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

struct Containment {
  Node* element;
  const Const* range;  // nullptr: the condition is something else
};

Containment ContainmentOf(const Node* qual) {
  if (!IsA(qual, OpExpr)) return {};
  const OpExpr& condition = *reinterpret_cast<const OpExpr*>(qual);
  const Oid function = get_opcode(condition.opno);
  const bool contains = function == F_RANGE_CONTAINS_ELEM;
  if (!contains && function != F_ELEM_CONTAINED_BY_RANGE) return {};
  Node* first = static_cast<Node*>(linitial(condition.args));
  Node* second = static_cast<Node*>(lsecond(condition.args));
  Node* range = contains ? first : second;
  Node* element = contains ? second : first;
  const bool known = IsA(range, Const) && !castNode(Const, range)->constisnull;
  if (!known || !IsA(WithoutRelabel(element), Var)) return {};
  return {element, castNode(Const, range)};
}

// Whether the ends of the range are ordered as the column's type is by itself, which is one of the
// server's.
bool OrdersByDefault(const TypeCacheEntry& range) {
  const TypeCacheEntry* element =
      lookup_type_cache(range.rngelemtype->type_id, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_CMP_PROC);
  return element->type_id < FirstNormalObjectId && OidIsValid(element->btree_opf) &&
         element->cmp_proc == range.rng_cmp_proc_finfo.fn_oid;
}

Node* MakeBound(const TypeCacheEntry& range, Node* element, const RangeBound& bound) {
  const TypeCacheEntry* type =
      lookup_type_cache(range.rngelemtype->type_id, TYPECACHE_BTREE_OPFAMILY);
  const StrategyNumber strategy =
      bound.lower ? (bound.inclusive ? BTGreaterEqualStrategyNumber : BTGreaterStrategyNumber)
                  : (bound.inclusive ? BTLessEqualStrategyNumber : BTLessStrategyNumber);
  const Oid operation = get_opfamily_member(type->btree_opf, type->btree_opintype,
                                            type->btree_opintype, static_cast<int16>(strategy));
  Const* constant = makeConst(type->type_id, -1, range.rng_collation, type->typlen, bound.val,
                              false, type->typbyval);
  Expr* made = make_opclause(operation, BOOLOID, false, static_cast<Expr*>(copyObjectImpl(element)),
                             reinterpret_cast<Expr*>(constant), InvalidOid, range.rng_collation);
  castNode(OpExpr, made)->opfuncid = get_opcode(operation);
  return AsNode(made);
}

// NIL: the condition stays.
List* BoundsOf(const Containment& containment) {
  const Const& constant = *containment.range;
  TypeCacheEntry* range = lookup_type_cache(constant.consttype, TYPECACHE_RANGE_INFO);
  if (range->rngelemtype == nullptr || !OrdersByDefault(*range)) return NIL;
  RangeBound lower;
  RangeBound upper;
  bool empty;
  range_deserialize(range, DatumGetRangeTypeP(constant.constvalue), &lower, &upper, &empty);
  if (empty) return NIL;
  List* bounds = NIL;
  if (!lower.infinite) bounds = lappend(bounds, MakeBound(*range, containment.element, lower));
  if (!upper.infinite) bounds = lappend(bounds, MakeBound(*range, containment.element, upper));
  return bounds;
}

}  // namespace

List* RangesAsBounds(List* quals) {
  List* all = NIL;
  ListCell* cell;
  foreach (cell, quals) {
    Node* qual = static_cast<Node*>(lfirst(cell));
    const Containment containment = ContainmentOf(qual);
    List* bounds = containment.range == nullptr ? NIL : BoundsOf(containment);
    all = bounds == NIL ? lappend(all, qual) : list_concat(all, bounds);
  }
  return all;
}

}  // namespace live_queries
