// Sets up the server's hash tables in private memory. Process: any.
#pragma once

#include <type_traits>

#include "pg/postgres.hpp"

extern "C" {
#include "utils/hsearch.h"
}

namespace live_queries {

// An empty table for about `count` entries, which lives in `context`. An entry is found by the
// bytes of its first member, which have no padding.
template <class Entry, class Key>
HTAB* MakeHashTable(const char* name, Key Entry::*, long count, MemoryContext context,
                    size_t entry_bytes = sizeof(Entry)) {
  static_assert(std::has_unique_object_representations_v<Key>);
  HASHCTL control = {};
  control.keysize = sizeof(Key);
  control.entrysize = entry_bytes;
  control.hcxt = context;
  return hash_create(name, count, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

}  // namespace live_queries
