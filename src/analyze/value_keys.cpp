// By the functions, since an operator of users may be made of them. Process: client backend,
// decoder.
#include "analyze/value_keys.hpp"

#include <algorithm>

extern "C" {
#include "access/gin.h"
#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

// Whether comparing two values runs no code of users.
bool HashesByServer(Oid type) {
  const TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC);
  const bool known = type < FirstNormalObjectId || get_typtype(type) == TYPTYPE_ENUM;
  return known && OidIsValid(entry->eq_opr) && OidIsValid(entry->hash_proc) &&
         entry->hash_proc < FirstNormalObjectId;
}

std::span<Datum> Elements(const KeyType& keys, Datum array) {
  Datum* elements;
  bool* nulls;
  int count;
  ArrayType* all = DatumGetArrayTypeP(array);
  // (Of a type that is stored alike, where a cast changes nothing.)
  deconstruct_array(all, ARR_ELEMTYPE(all), keys.length, keys.by_value, keys.alignment, &elements,
                    &nulls, &count);
  size_t kept = 0;
  for (int i = 0; i < count; ++i)
    if (!nulls[i]) elements[kept++] = elements[i];
  return {elements, kept};
}

StrategyNumber StrategyOfJson(Oid function) {
  switch (function) {
    case F_JSONB_CONTAINS:
      return JsonbContainsStrategyNumber;
    case F_JSONB_EXISTS:
      return JsonbExistsStrategyNumber;
    case F_JSONB_EXISTS_ANY:
      return JsonbExistsAnyStrategyNumber;
    default:
      return JsonbExistsAllStrategyNumber;
  }
}

std::span<Datum> KeysOfJson(Datum json) {
  int32 count = 0;
  auto* keys = reinterpret_cast<Datum*>(
      DatumGetPointer(DirectFunctionCall2(gin_extract_jsonb, json, PointerGetDatum(&count))));
  return {keys, static_cast<size_t>(count)};
}

std::span<Datum> KeysOfJsonQuery(Oid function, Datum constant) {
  int32 count = 0;
  int32 mode = GIN_SEARCH_MODE_DEFAULT;
  constexpr Datum kNone = 0;  // what is for other strategies
  auto* keys = reinterpret_cast<Datum*>(DatumGetPointer(DirectFunctionCall7(
      gin_extract_jsonb_query, constant, PointerGetDatum(&count),
      UInt16GetDatum(StrategyOfJson(function)), kNone, kNone, kNone, PointerGetDatum(&mode))));
  return {keys, static_cast<size_t>(count)};
}

// How much a key tells apart, as far as it looks: every row may have the same fields.
int Tells(const KeyType& keys, Datum key) {
  if (!keys.of_text) return 0;
  const text* bytes = DatumGetTextPP(key);
  const int flag = *VARDATA_ANY(bytes) & ~JGINFLAG_HASHED;
  const bool is_value = flag == JGINFLAG_NUM || flag == JGINFLAG_STR;
  const bool is_field = flag == JGINFLAG_KEY;
  return (is_value   ? 2
          : is_field ? 1
                     : 0) *
             2 * JGIN_MAXLENGTH +
         static_cast<int>(std::min<size_t>(VARSIZE_ANY_EXHDR(bytes), JGIN_MAXLENGTH));
}

// One is enough where all of them are asked for.
std::span<Datum> BestOf(const KeyType& keys, std::span<Datum> all) {
  const auto less = [&](Datum a, Datum b) { return Tells(keys, a) < Tells(keys, b); };
  return {std::max_element(all.begin(), all.end(), less), 1};
}

}  // namespace

KeyType KeysOfType(Oid type) {
  if (type == JSONBOID) return {TEXTOID, true, false, -1, TYPALIGN_INT};
  KeyType keys = {};
  const Oid element = get_base_element_type(type);
  if (!OidIsValid(element) || !HashesByServer(element)) return keys;
  keys.type = element;
  get_typlenbyvalalign(element, &keys.length, &keys.by_value, &keys.alignment);
  return keys;
}

bool AsksForKeys(Oid function) {
  switch (function) {
    case F_ARRAYCONTAINS:
    case F_ARRAYOVERLAP:
    case F_JSONB_CONTAINS:
    case F_JSONB_EXISTS:
    case F_JSONB_EXISTS_ANY:
    case F_JSONB_EXISTS_ALL:
      return true;
    default:
      return false;
  }
}

std::span<Datum> KeysOf(const KeyType& keys, Datum value) {
  return keys.of_text ? KeysOfJson(value) : Elements(keys, value);
}

std::span<Datum> KeysAskedFor(const KeyType& keys, Oid function, Datum constant) {
  const std::span<Datum> asked =
      keys.of_text ? KeysOfJsonQuery(function, constant) : Elements(keys, constant);
  const bool any = function == F_ARRAYOVERLAP || function == F_JSONB_EXISTS_ANY;
  return any || asked.empty() ? asked : BestOf(keys, asked);
}

}  // namespace live_queries
