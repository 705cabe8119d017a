// Recognises comparisons of a column with a constant among conditions, where the operator may be
// evaluated before those of row security. Process: client backend, decoder.
#include "analyze/routing_conditions.hpp"

#include "analyze/text_patterns.hpp"
#include "analyze/tree.hpp"
#include "analyze/value_keys.hpp"

extern "C" {
#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

bool IsColumn(Node* node) {
  node = WithoutRelabel(node);
  return node != nullptr && IsA(node, Var) && castNode(Var, node)->varattno > 0;
}

bool IsValue(Node* node) {
  return node != nullptr && IsA(node, Const) && !castNode(Const, node)->constisnull;
}

// `value` as a constant of `type`, if that is a lossless step (int4 to int8); else nullptr.
Const* ConvertTo(Const* value, Oid type) {
  if (value->consttype == type) return value;
  if (type == NAMEOID || type == NAMEARRAYOID) return nullptr;  // would cut a long text
  Node* converted = coerce_to_target_type(nullptr, reinterpret_cast<Node*>(value), value->consttype,
                                          type, -1, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
  if (converted == nullptr || contain_mutable_functions(converted)) return nullptr;
  converted = eval_const_expressions(nullptr, converted);
  return IsValue(converted) ? castNode(Const, converted) : nullptr;
}

// A condition as it routes: `column operation $n`.
struct Routable {
  Node* column;
  Const* value;  // of $n; nullptr: the condition does not route
  Oid operation;
  Oid collation;
};

// What a comparison compares, the column first.
struct Comparison {
  Node* column;
  Const* value;  // nullptr: it is not of a column and a constant
  bool swapped;  // the constant came first
};

Comparison ComparisonOf(const OpExpr& condition) {
  if (list_length(condition.args) != 2) return {};
  Node* first = static_cast<Node*>(linitial(condition.args));
  Node* second = static_cast<Node*>(lsecond(condition.args));
  if (IsColumn(first) && IsValue(second)) return {first, castNode(Const, second), false};
  if (IsValue(first) && IsColumn(second)) return {second, castNode(Const, first), true};
  return {};
}

// The operator by which values of `type` are hashed, if `operation` is of its family; else
// InvalidOid.
Oid HashedEquality(Oid type, Oid operation, bool leakproof_only) {
  const TypeCacheEntry* entry =
      lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC | TYPECACHE_HASH_OPFAMILY);
  if (!OidIsValid(entry->eq_opr) || !OidIsValid(entry->hash_proc)) return InvalidOid;
  if (!op_in_opfamily(operation, entry->hash_opf)) return InvalidOid;
  if (!func_strict(get_opcode(entry->eq_opr))) return InvalidOid;
  // (Those of the server hash without a word, but are not marked so.)
  const bool hashes_silently =
      entry->hash_proc < FirstNormalObjectId || get_func_leakproof(entry->hash_proc);
  const bool is_leakproof = hashes_silently && get_func_leakproof(get_opcode(entry->eq_opr));
  return leakproof_only && !is_leakproof ? InvalidOid : entry->eq_opr;
}

Routable AsEquality(const OpExpr& condition, bool leakproof_only) {
  const Comparison comparison = ComparisonOf(condition);
  if (comparison.value == nullptr) return {};
  const Oid type = exprType(comparison.column);
  const Oid equality = HashedEquality(type, condition.opno, leakproof_only);
  if (!OidIsValid(equality)) return {};
  return {comparison.column, ConvertTo(comparison.value, type), equality, condition.inputcollid};
}

int CountElements(const Const& array) {
  const ArrayType* elements = DatumGetArrayTypeP(array.constvalue);
  return ArrayGetNItems(ARR_NDIM(elements), ARR_DIMS(elements));
}

Routable AsAny(const ScalarArrayOpExpr& condition, bool leakproof_only) {
  Node* column = static_cast<Node*>(linitial(condition.args));
  Node* array = static_cast<Node*>(lsecond(condition.args));
  if (!condition.useOr || !IsColumn(column) || !IsValue(array)) return {};
  const Oid type = exprType(column);
  const Oid equality = HashedEquality(type, condition.opno, leakproof_only);
  const Oid array_type = get_array_type(type);
  if (!OidIsValid(equality) || !OidIsValid(array_type)) return {};
  Const* value = ConvertTo(castNode(Const, array), array_type);
  if (value == nullptr || CountElements(*value) > kMaxRoutingElements) return {};
  return {column, value, equality, condition.inputcollid};
}

void AddElements(const Const& array, Oid type, ArrayBuildState* all) {
  int16 length;
  bool by_value;
  char alignment;
  get_typlenbyvalalign(type, &length, &by_value, &alignment);
  // (Of a type that is stored alike, where a cast changes nothing.)
  ArrayType* elements = DatumGetArrayTypeP(array.constvalue);
  Datum* values;
  bool* nulls;
  int count;
  deconstruct_array(elements, ARR_ELEMTYPE(elements), length, by_value, alignment, &values, &nulls,
                    &count);
  for (int i = 0; i < count; ++i)
    (void)accumArrayResult(all, values[i], nulls[i], type, CurrentMemoryContext);
}

// `column = a OR column = b OR column = ANY (c)` is a list of a, b and the elements of c.
Routable AsAlternatives(const BoolExpr& condition, bool leakproof_only) {
  if (condition.boolop != OR_EXPR) return {};
  Routable list = {};
  ArrayBuildState* elements = nullptr;
  ListCell* cell;
  foreach (cell, condition.args) {
    Node* arm = static_cast<Node*>(lfirst(cell));
    const bool is_any = IsA(arm, ScalarArrayOpExpr);
    if (!is_any && !IsA(arm, OpExpr)) return {};
    const Routable found = is_any ? AsAny(*castNode(ScalarArrayOpExpr, arm), leakproof_only)
                                  : AsEquality(*castNode(OpExpr, arm), leakproof_only);
    if (found.value == nullptr) return {};
    const Oid type = exprType(found.column);
    if (elements == nullptr) {
      if (!OidIsValid(get_array_type(type))) return {};
      list = found;
      elements = initArrayResult(type, CurrentMemoryContext, false);
    }
    if (!equal(found.column, list.column) || found.collation != list.collation) return {};
    if (is_any)
      AddElements(*found.value, type, elements);
    else
      (void)accumArrayResult(elements, found.value->constvalue, false, type, CurrentMemoryContext);
    if (elements->nelems > kMaxRoutingElements) return {};
  }
  if (elements == nullptr) return {};
  const Oid array_type = get_array_type(elements->element_type);
  list.value = makeConst(array_type, -1, get_typcollation(array_type), -1,
                         makeArrayResult(elements, CurrentMemoryContext), false, false);
  return list;
}

Routable AsList(Node* qual, bool leakproof_only) {
  if (IsA(qual, ScalarArrayOpExpr))
    return AsAny(*castNode(ScalarArrayOpExpr, qual), leakproof_only);
  if (IsA(qual, BoolExpr)) return AsAlternatives(*castNode(BoolExpr, qual), leakproof_only);
  return {};
}

// The array that is cast without a change of its elements (varchar[] to text[]), or `node` itself.
Node* WithoutArrayRelabel(Node* node) {
  if (!IsA(node, ArrayCoerceExpr)) return node;
  const ArrayCoerceExpr& cast = *castNode(ArrayCoerceExpr, node);
  const Node* element = AsNode(cast.elemexpr);
  const bool same = IsA(element, RelabelType) &&
                    IsA(reinterpret_cast<const RelabelType*>(element)->arg, CaseTestExpr);
  return same ? AsNode(cast.arg) : node;
}

// `value = ANY (column)`, for every kind of value that the array may have, is `column @>
// ARRAY[value]`.
Routable AsElement(const ScalarArrayOpExpr& condition) {
  Node* value = static_cast<Node*>(linitial(condition.args));
  Node* column = WithoutArrayRelabel(static_cast<Node*>(lsecond(condition.args)));
  if (!condition.useOr || !IsValue(value) || !IsColumn(column)) return {};
  const Oid array_type = exprType(column);
  const Oid type = get_base_element_type(array_type);
  if (!OidIsValid(type) || !OidIsValid(KeysOfType(array_type).type)) return {};
  if (condition.opno != lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr) return {};
  const Const* element = ConvertTo(castNode(Const, value), type);
  if (element == nullptr) return {};
  ArrayBuildState* elements = initArrayResult(type, CurrentMemoryContext, false);
  (void)accumArrayResult(elements, element->constvalue, false, type, CurrentMemoryContext);
  Const* array = makeConst(array_type, -1, get_typcollation(array_type), -1,
                           makeArrayResult(elements, CurrentMemoryContext), false, false);
  return {column, array, OID_ARRAY_CONTAINS_OP, condition.inputcollid};
}

// No operator of this kind is leakproof.
Routable AsKeys(Node* qual, bool leakproof_only) {
  if (leakproof_only) return {};
  if (IsA(qual, ScalarArrayOpExpr)) return AsElement(*castNode(ScalarArrayOpExpr, qual));
  if (!IsA(qual, OpExpr)) return {};
  const OpExpr& condition = *castNode(OpExpr, qual);
  const Comparison comparison = ComparisonOf(condition);
  if (comparison.value == nullptr || comparison.swapped) return {};
  const Oid function = get_opcode(condition.opno);
  if (!AsksForKeys(function)) return {};
  const KeyType keys = KeysOfType(exprType(comparison.column));
  if (!OidIsValid(keys.type)) return {};
  const auto asked = KeysAskedFor(keys, function, comparison.value->constvalue);
  if (asked.empty() || asked.size() > kMaxRoutingElements) return {};
  return {comparison.column, comparison.value, condition.opno, condition.inputcollid};
}

// Texts are compared by a pattern byte for byte, whatever their collation's order, if equal ones of
// that collation are the same.
bool ComparesBytes(Oid collation) {
  return OidIsValid(collation) && get_collation_isdeterministic(collation);
}

Routable AsPrefix(const OpExpr& condition, bool leakproof_only) {
  const Comparison comparison = ComparisonOf(condition);
  if (comparison.value == nullptr || comparison.swapped) return {};
  const Oid function = get_opcode(condition.opno);
  if (!TakesPattern(function) || !ComparesBytes(condition.inputcollid)) return {};
  if (leakproof_only && !get_func_leakproof(function)) return {};
  if (PrefixOf(function, comparison.value->constvalue) == nullptr) return {};
  return {comparison.column, comparison.value, condition.opno, condition.inputcollid};
}

// A constant of another type is converted only where no value is out of range, and no order is
// another: of numbers. (A date may be too late for a timestamp.)
bool MayConvertBound(const Const& value, Oid type) {
  return value.consttype == type || TypeCategory(type) == TYPCATEGORY_NUMERIC;
}

Routable AsBound(const OpExpr& condition, bool leakproof_only) {
  const Comparison comparison = ComparisonOf(condition);
  if (comparison.value == nullptr) return {};
  const Oid type = exprType(comparison.column);
  const TypeCacheEntry* entry =
      lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_CMP_PROC);
  if (!OidIsValid(entry->btree_opf) || !OidIsValid(entry->cmp_proc)) return {};
  Oid operation = comparison.swapped ? get_commutator(condition.opno) : condition.opno;
  if (!OidIsValid(operation)) return {};
  const int strategy = get_op_opfamily_strategy(operation, entry->btree_opf);
  if (strategy == InvalidStrategy || strategy == BTEqualStrategyNumber) return {};
  operation = get_opfamily_member(entry->btree_opf, entry->btree_opintype, entry->btree_opintype,
                                  static_cast<int16>(strategy));
  if (!OidIsValid(operation) || !func_strict(get_opcode(operation))) return {};
  if (leakproof_only &&
      (!get_func_leakproof(get_opcode(operation)) || !get_func_leakproof(entry->cmp_proc)))
    return {};
  if (!MayConvertBound(*comparison.value, type)) return {};
  return {comparison.column, ConvertTo(comparison.value, type), operation, condition.inputcollid};
}

Routable AsRoutable(RoutingKind kind, Node* qual, bool leakproof_only) {
  if (kind == RoutingKind::kList) return AsList(qual, leakproof_only);
  if (kind == RoutingKind::kKeys) return AsKeys(qual, leakproof_only);
  if (!IsA(qual, OpExpr)) return {};
  const OpExpr& condition = *castNode(OpExpr, qual);
  if (kind == RoutingKind::kEquality) return AsEquality(condition, leakproof_only);
  if (kind == RoutingKind::kPrefix) return AsPrefix(condition, leakproof_only);
  return AsBound(condition, leakproof_only);
}

Node* MakeCondition(RoutingKind kind, const Routable& route, int number) {
  Param* param = reinterpret_cast<Param*>(MakeParam(number, route.value->consttype));
  param->paramcollid = route.value->constcollid;
  if (kind != RoutingKind::kList) {
    OpExpr* condition = castNode(
        OpExpr,
        make_opclause(route.operation, BOOLOID, false, reinterpret_cast<Expr*>(route.column),
                      reinterpret_cast<Expr*>(param), InvalidOid, route.collation));
    condition->opfuncid = get_opcode(route.operation);
    return AsNode(condition);
  }
  ScalarArrayOpExpr* condition = makeNode(ScalarArrayOpExpr);
  condition->opno = route.operation;
  condition->opfuncid = get_opcode(route.operation);
  condition->useOr = true;
  condition->inputcollid = route.collation;
  condition->args = list_make2(route.column, param);
  condition->location = -1;
  return AsNode(condition);
}

}  // namespace

List* TakeRouting(RoutingKind kind, List* quals, bool leakproof_only, RoutingConditions* routing) {
  List* rest = NIL;
  ListCell* cell;
  foreach (cell, quals) {
    Node* qual = static_cast<Node*>(lfirst(cell));
    const int number = list_length(routing->conditions) + 1;
    const Routable route =
        number <= kMaxRoutingColumns ? AsRoutable(kind, qual, leakproof_only) : Routable();
    if (route.value == nullptr) {
      rest = lappend(rest, qual);
      continue;
    }
    routing->conditions = lappend(routing->conditions, MakeCondition(kind, route, number));
    routing->values = lappend(routing->values, route.value);
  }
  return rest;
}

RoutingConditions SplitRouting(List* quals, bool leakproof_only) {
  RoutingConditions result = {NIL, NIL, NIL};
  result.quals = TakeRouting(RoutingKind::kEquality, quals, leakproof_only, &result);
  return result;
}

}  // namespace live_queries
