// Reads pg_type and pg_cast for the functions of types that users have made. Process: client
// backend, decoder.
#include "analyze/type_functions.hpp"

#include "analyze/tree.hpp"
#include "analyze/type_components.hpp"
#include "analyze/unsupported.hpp"
#include "analyze/value_sources.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

// Whether values of `type` are written by a function of its own, instead of what they contain.
bool IsLeaf(Oid type) {
  const char kind = get_typtype(type);
  return type >= FirstNormalObjectId && kind != TYPTYPE_COMPOSITE && kind != TYPTYPE_DOMAIN &&
         kind != TYPTYPE_PSEUDO && !OidIsValid(get_element_type(type));
}

void AddFunction(Oid function, List** functions) {
  if (function >= FirstNormalObjectId) *functions = list_append_unique_oid(*functions, function);
}

bool MayDiffer(Oid function) {
  return func_volatile(function) == PROVOLATILE_VOLATILE ||
         SourceOf(function) > ValueSource::kArguments;
}

// What to_json and the like, which are STABLE since they write values of any type, are called for.
List* JsonArguments(Node* node) {
  auto may_write = [](Oid function) {
    return function < FirstNormalObjectId && func_volatile(function) == PROVOLATILE_STABLE;
  };
  // Those of aggregates are found as what they are: entries of a target list.
  if (IsA(node, WindowFunc)) {
    const WindowFunc* call = castNode(WindowFunc, node);
    return may_write(call->winfnoid) ? call->args : NIL;
  }
  if (!IsA(node, FuncExpr)) return JsonConstructorArguments(node);
  const FuncExpr* call = castNode(FuncExpr, node);
  return may_write(call->funcid) ? call->args : NIL;
}

// Of a record, only its expression tells what it contains.
void NoteValue(Node* expression, List** types) {
  const Oid type = exprType(expression);
  const bool is_record = type == RECORDOID || type == RECORDARRAYOID;
  *types =
      list_concat_unique_oid(*types, is_record ? TypesIn(expression, true) : UserTypesOf(type));
}

bool NoteMadeJson(Node* node, List** types) {
  if (node == nullptr) return false;
  if (IsA(node, TargetEntry) && !castNode(TargetEntry, node)->resjunk)
    NoteValue(AsNode(castNode(TargetEntry, node)->expr), types);
  ListCell* cell;
  foreach (cell, JsonArguments(node)) NoteValue(static_cast<Node*>(lfirst(cell)), types);
  return WalkChildren(node, NoteMadeJson, types);
}

}  // namespace

Oid JsonCastOf(Oid type) {
  Oid function = InvalidOid;
  if (!IsLeaf(type)) return InvalidOid;
  const CoercionPathType path = find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &function);
  return path == COERCION_PATH_FUNC ? function : InvalidOid;
}

List* FunctionsOfType(Oid type) {
  List* functions = NIL;
  if (!IsLeaf(type)) return NIL;
  Oid io[2];
  Oid io_param;
  bool is_varlena;
  getTypeInputInfo(type, &io[0], &io_param);
  getTypeOutputInfo(type, &io[1], &is_varlena);
  for (Oid function : io) AddFunction(function, &functions);
  const TypeCacheEntry* entry =
      lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_CMP_PROC | TYPECACHE_HASH_PROC);
  if (OidIsValid(entry->eq_opr)) AddFunction(get_opcode(entry->eq_opr), &functions);
  AddFunction(entry->cmp_proc, &functions);
  AddFunction(entry->hash_proc, &functions);
  if (get_typtype(type) == TYPTYPE_RANGE) {
    entry = lookup_type_cache(type, TYPECACHE_RANGE_INFO);
    AddFunction(entry->rng_canonical_finfo.fn_oid, &functions);
    AddFunction(entry->rng_cmp_proc_finfo.fn_oid, &functions);
  }
  return functions;
}

void RequireSteadyJson(List* types) {
  ListCell* cell;
  foreach (cell, types) {
    const Oid type = lfirst_oid(cell);
    Oid function = JsonCastOf(type);
    bool is_varlena;
    // An output function that is STABLE is the work of the type's author, a superuser.
    const bool has_cast = OidIsValid(function);
    if (!has_cast && IsLeaf(type)) getTypeOutputInfo(type, &function, &is_varlena);
    if (!OidIsValid(function)) continue;
    if (has_cast ? MayDiffer(function) : func_volatile(function) == PROVOLATILE_VOLATILE)
      RaiseUnsupported(
          psprintf("function %s, by which values of type %s become JSON, is not "
                   "IMMUTABLE, so it may read more than the value",
                   get_func_name(function), format_type_be(type)));
  }
}

List* TypesMadeJson(Node* tree) {
  List* types = NIL;
  (void)NoteMadeJson(tree, &types);
  return types;
}

}  // namespace live_queries
