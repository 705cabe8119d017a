// Eight bytes of a value that are compared first, as the server's sorts do with abbreviated keys.
// Used by the routing index, for bounds and prefixes. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "utils/sortsupport.h"
}

namespace live_queries {

struct OrderKey {
  enum class Form : uint8 {
    kNone,  // all values have the same
    kInt16,
    kInt32,
    kInt64,
    kUnsigned32,
    kUnsigned64,
    kFloat4,
    kFloat8,
    kBytes,
    kUuid,
    kNumeric,
  } form;
  SortSupportData* numeric;  // nullptr: it is none
};

// For values in the order of that comparison function, one of a B-tree. In CurrentMemoryContext.
OrderKey PrepareOrderKey(Oid comparison, Oid collation);

// Where one value has a lesser key than another, it is less. Runs no code of users.
uint64 KeyOf(const OrderKey& order, Datum value);

}  // namespace live_queries
