// Recognises `column = constant` among conditions, where the operator may be evaluated before those
// of row security. Process: client backend, decoder.
#include "analyze/routing_conditions.hpp"

#include "analyze/tree.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
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
  if (type == NAMEOID) return nullptr;  // would cut a long text
  Node* converted = coerce_to_target_type(nullptr, reinterpret_cast<Node*>(value), value->consttype,
                                          type, -1, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
  if (converted == nullptr || contain_mutable_functions(converted)) return nullptr;
  converted = eval_const_expressions(nullptr, converted);
  return IsValue(converted) ? castNode(Const, converted) : nullptr;
}

// The condition as `column = Param(number)`, with its constant in `*value`; nullptr if it is not
// one, or not one that hashes.
OpExpr* AsRoute(Node* qual, bool leakproof_only, int number, Const** value) {
  if (!IsA(qual, OpExpr)) return nullptr;
  OpExpr* condition = castNode(OpExpr, qual);
  if (list_length(condition->args) != 2) return nullptr;
  Node* column = static_cast<Node*>(linitial(condition->args));
  Node* other = static_cast<Node*>(lsecond(condition->args));
  if (IsValue(column) && IsColumn(other)) {
    Node* swapped = column;
    column = other;
    other = swapped;
  }
  if (!IsColumn(column) || !IsValue(other)) return nullptr;
  const Oid type = exprType(column);
  const TypeCacheEntry* entry =
      lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC | TYPECACHE_HASH_OPFAMILY);
  if (!OidIsValid(entry->eq_opr) || !OidIsValid(entry->hash_proc)) return nullptr;
  if (!op_in_opfamily(condition->opno, entry->hash_opf)) return nullptr;
  if (leakproof_only && !get_func_leakproof(get_opcode(entry->eq_opr))) return nullptr;
  *value = ConvertTo(castNode(Const, other), type);
  if (*value == nullptr) return nullptr;
  Param* param = reinterpret_cast<Param*>(MakeParam(number, type));
  param->paramcollid = (*value)->constcollid;
  OpExpr* route = castNode(
      OpExpr, make_opclause(entry->eq_opr, BOOLOID, false, reinterpret_cast<Expr*>(column),
                            reinterpret_cast<Expr*>(param), InvalidOid, condition->inputcollid));
  route->opfuncid = get_opcode(entry->eq_opr);
  return route;
}

}  // namespace

RoutingConditions SplitRouting(List* quals, bool leakproof_only) {
  RoutingConditions result = {NIL, NIL, NIL};
  ListCell* cell;
  foreach (cell, quals) {
    Node* qual = static_cast<Node*>(lfirst(cell));
    const int number = list_length(result.conditions) + 1;
    Const* value = nullptr;
    OpExpr* condition =
        number <= kMaxRoutingColumns ? AsRoute(qual, leakproof_only, number, &value) : nullptr;
    if (condition == nullptr) {
      result.quals = lappend(result.quals, qual);
      continue;
    }
    result.conditions = lappend(result.conditions, condition);
    result.values = lappend(result.values, value);
  }
  return result;
}

}  // namespace live_queries
