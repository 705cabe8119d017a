// A hash table with open addressing, over an array of values. Process: evaluator.
#include "evaluate/value_set.hpp"

#include "pg/memory.hpp"

extern "C" {
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

constexpr int kFirstCapacity = 8;
// Of the hash table, beside the array: at most half of it is used.
constexpr int kPlacesPerValue = 2;

// A place that is free, or the one where the value is already.
uint32 PlaceOf(const ValueSet& set, Datum value) {
  uint32 place = datum_image_hash(value, set.by_value, set.length) & set.mask;
  while (set.places[place] >= 0 &&
         !datum_image_eq(set.values[set.places[place]], value, set.by_value, set.length))
    place = (place + 1) & set.mask;
  return place;
}

void Grow(ValueSet* set) {
  const int capacity = set->capacity == 0 ? kFirstCapacity : set->capacity * 2;
  const size_t places = static_cast<size_t>(capacity) * kPlacesPerValue;
  auto allocate = [&](size_t bytes) {
    return MemoryContextAllocExtended(set->context, bytes, MCXT_ALLOC_HUGE);
  };
  Datum* values = static_cast<Datum*>(allocate(sizeof(Datum) * capacity));
  int32* table = static_cast<int32*>(allocate(sizeof(int32) * places));
  memset(table, -1, sizeof(int32) * places);
  if (set->count > 0) {
    memcpy(values, set->values, sizeof(Datum) * set->count);
    pfree(set->values);
    pfree(set->places);
  }
  set->values = values;
  set->places = table;
  set->mask = static_cast<uint32>(places - 1);
  set->capacity = capacity;
  for (int i = 0; i < set->count; ++i) set->places[PlaceOf(*set, set->values[i])] = i;
}

}  // namespace

ValueSet MakeValueSet(MemoryContext context, Oid type) {
  ValueSet set = {};
  set.context = context;
  set.type = type;
  get_typlenbyvalalign(type, &set.length, &set.by_value, &set.alignment);
  return set;
}

void AddValue(ValueSet* set, Datum value, bool is_null) {
  if (is_null) {
    set->has_null = true;
    return;
  }
  if (set->count == set->capacity) Grow(set);
  const uint32 place = PlaceOf(*set, value);
  if (set->places[place] >= 0) return;
  InMemoryContext(set->context, [&] {
    // What is stored in a TOAST table may be gone when it is used.
    if (set->length == -1)
      value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
    else
      value = datumCopy(value, set->by_value, set->length);
  });
  set->values[set->count] = value;
  set->places[place] = set->count++;
}

Datum ToArray(const ValueSet& set) {
  return PointerGetDatum(
      construct_array(set.values, set.count, set.type, set.length, set.by_value, set.alignment));
}

}  // namespace live_queries
