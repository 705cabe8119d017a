// A set of values of one type, which becomes the array that a restricted query gets as a parameter.
// Values are told apart by their bytes: equal ones that differ in these, such as 1.0 and 1.00, are
// both in it, which makes it larger and not wrong. Process: evaluator.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

struct ValueSet {
  MemoryContext context;  // of all that it holds
  Oid type;
  int16 length;
  bool by_value;
  char alignment;
  bool has_null;  // which is not among the values
  Datum* values;
  int count;
  int capacity;
  int32* places;  // a hash table of indexes of values; -1: free
  uint32 mask;    // its size is a power of two
};

// An empty set.
ValueSet MakeValueSet(MemoryContext context, Oid type);

// May ereport out of memory alone.
void AddValue(ValueSet* set, Datum value, bool is_null);

// All but NULL, as an array of the set's type, in CurrentMemoryContext.
Datum ToArray(const ValueSet& set);

}  // namespace live_queries
