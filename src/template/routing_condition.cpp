// Calls operators by hand: the executor would be longer about it than they are. Process: decoder.
#include "template/routing_condition.hpp"

#include "pg/fault.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

bool IsList(const RoutingCondition& condition) { return condition.kind == RoutingKind::kList; }

bool ConstantByValue(const RoutingCondition& condition) {
  return condition.by_value && !IsList(condition);
}

int ConstantLength(const RoutingCondition& condition) {
  return IsList(condition) ? -1 : condition.length;
}

RouteElements ElementsOf(const RoutingCondition& condition, Datum array) {
  Datum* elements;
  bool* nulls;
  int count;
  ArrayType* list = DatumGetArrayTypeP(array);
  // (Of a type that is stored alike, where a cast changes nothing.)
  deconstruct_array(list, ARR_ELEMTYPE(list), condition.length, condition.by_value,
                    condition.alignment, &elements, &nulls, &count);
  size_t kept = 0;
  for (int i = 0; i < count; ++i)
    if (!nulls[i]) elements[kept++] = elements[i];
  pfree(nulls);
  if (LIVE_QUERIES_MUTATION("first_element_alone") && kept > 1) kept = 1;
  return {elements, kept};
}

// Copies those that a route stands by, in an array of their own.
RouteElements CopyKeysAskedFor(const RoutingCondition& condition, Datum constant) {
  FreeKeysOf(condition);
  const RouteElements asked = InMemoryContext(condition.scratch, [&] {
    return KeysAskedFor(condition.keys, condition.holds.fn_oid, constant);
  });
  Datum* keys = static_cast<Datum*>(palloc(sizeof(Datum) * asked.size()));
  for (size_t i = 0; i < asked.size(); ++i)
    keys[i] = datumCopy(asked[i], condition.keys.by_value, condition.keys.length);
  const size_t count = asked.size();
  FreeKeysOf(condition);
  return {keys, count};
}

void PrepareOperator(Oid function, Node* condition, FmgrInfo* prepared) {
  fmgr_info(function, prepared);
  // For those of any type, which ask what they are called with.
  fmgr_info_set_expr(condition, prepared);
}

void PrepareKeys(RoutingCondition* prepared) {
  prepared->keys = KeysOfType(prepared->type);
  prepared->scratch = AllocSetContextCreate(CurrentMemoryContext, "live_queries keys of a value",
                                            ALLOCSET_SMALL_SIZES);
  const TypeCacheEntry* entry =
      lookup_type_cache(prepared->keys.type, TYPECACHE_HASH_PROC | TYPECACHE_EQ_OPR);
  fmgr_info(entry->hash_proc, &prepared->hash);
  fmgr_info(get_opcode(entry->eq_opr), &prepared->same_key);
  // What a jsonb has is compared by bytes.
  if (prepared->keys.of_text) prepared->hash_collation = C_COLLATION_OID;
}

}  // namespace

void PrepareRoutingCondition(RoutingCondition* prepared, Node* condition) {
  prepared->kind = KindOf(condition);
  prepared->column = RoutingColumn(condition)->varattno;
  prepared->type = exprType(ComparedColumn(condition));
  prepared->collation = CollationOf(condition);
  prepared->order_collation = prepared->hash_collation = prepared->collation;
  get_typlenbyvalalign(prepared->type, &prepared->length, &prepared->by_value,
                       &prepared->alignment);
  const TypeCacheEntry* entry = lookup_type_cache(
      prepared->type, TYPECACHE_HASH_PROC | TYPECACHE_EQ_OPR | TYPECACHE_CMP_PROC);
  if (prepared->kind == RoutingKind::kBound) {
    prepared->strategy = StrategyOf(condition);
    PrepareOperator(castNode(OpExpr, condition)->opfuncid, condition, &prepared->holds);
    fmgr_info(entry->cmp_proc, &prepared->order);
    prepared->order_key = PrepareOrderKey(entry->cmp_proc, prepared->order_collation);
  } else if (prepared->kind == RoutingKind::kPrefix) {
    PrepareOperator(castNode(OpExpr, condition)->opfuncid, condition, &prepared->holds);
    // By bytes: elsewhere what begins alike need not stand together.
    fmgr_info(F_BTTEXTCMP, &prepared->order);
    prepared->order_collation = C_COLLATION_OID;
    prepared->order_key = PrepareOrderKey(F_BTTEXTCMP, C_COLLATION_OID);
  } else if (prepared->kind == RoutingKind::kKeys) {
    PrepareOperator(castNode(OpExpr, condition)->opfuncid, condition, &prepared->holds);
    PrepareKeys(prepared);
  } else {
    PrepareOperator(get_opcode(entry->eq_opr), condition, &prepared->holds);
    fmgr_info(entry->hash_proc, &prepared->hash);
  }
}

Datum CopyConstant(const RoutingCondition& condition, Datum constant, RouteElements* elements) {
  if (condition.scratch != nullptr) *elements = CopyKeysAskedFor(condition, constant);
  if (!IsList(condition)) return datumCopy(constant, condition.by_value, condition.length);
  const Datum copy = PointerGetDatum(DatumGetArrayTypePCopy(constant));
  *elements = ElementsOf(condition, copy);
  return copy;
}

void FreeConstant(const RoutingCondition& condition, Datum constant, RouteElements elements) {
  if (condition.scratch != nullptr && !condition.keys.by_value)
    for (const Datum key : elements) pfree(DatumGetPointer(key));
  if (elements.data() != nullptr) pfree(elements.data());
  if (!ConstantByValue(condition)) pfree(DatumGetPointer(constant));
}

bool SameConstant(const RoutingCondition& condition, Datum a, Datum b) {
  return datum_image_eq(a, b, ConstantByValue(condition), ConstantLength(condition));
}

uint32 HashConstant(const RoutingCondition& condition, Datum constant) {
  return datum_image_hash(constant, ConstantByValue(condition), ConstantLength(condition));
}

uint32 HashValue(RoutingCondition* condition, Datum value) {
  return DatumGetUInt32(FunctionCall1Coll(&condition->hash, condition->hash_collation, value));
}

bool SameElement(RoutingCondition* condition, Datum a, Datum b) {
  if (condition->kind != RoutingKind::kKeys) return Holds(condition, a, b);
  return DatumGetBool(FunctionCall2Coll(&condition->same_key, condition->hash_collation, a, b));
}

uint32 AddToHash(uint32 hash, RoutingCondition* condition, Datum value) {
  return hash_combine(hash, HashValue(condition, value));
}

bool Holds(RoutingCondition* condition, Datum value, Datum constant) {
  LOCAL_FCINFO(call, 2);
  InitFunctionCallInfoData(*call, &condition->holds, 2, condition->collation, nullptr, nullptr);
  call->args[0] = {value, false};
  call->args[1] = {constant, false};
  const Datum result = FunctionCallInvoke(call);
  return !call->isnull && DatumGetBool(result);
}

bool HoldsOfAny(RoutingCondition* condition, Datum value, RouteElements elements) {
  for (const Datum element : elements)
    if (Holds(condition, value, element)) return true;
  return false;
}

int CompareValues(RoutingCondition* condition, Datum a, Datum b) {
  return DatumGetInt32(FunctionCall2Coll(&condition->order, condition->order_collation, a, b));
}

RouteElements KeysOf(const RoutingCondition& condition, Datum value) {
  FreeKeysOf(condition);  // an error may have left some
  return InMemoryContext(condition.scratch, [&] { return KeysOf(condition.keys, value); });
}

void FreeKeysOf(const RoutingCondition& condition) { MemoryContextReset(condition.scratch); }

Datum ReadyToCompare(const RoutingCondition& condition, Datum value) {
  if (condition.length != -1) return value;
  return PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
}

}  // namespace live_queries
