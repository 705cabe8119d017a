// The keys of arrays and of jsonb: what @>, && and ? ask for, and what a value has, so that those
// can be found that may ask for something that it has. Those of jsonb are what the server's GIN
// index has of it. Process: client backend, decoder.
#pragma once

#include <span>

#include "pg/postgres.hpp"

namespace live_queries {

// The type of the keys: of an array, that of its elements.
struct KeyType {
  Oid type;      // InvalidOid: the values have no keys that the server can compare by itself
  bool of_text;  // they are of a jsonb
  bool by_value;
  int16 length;
  char alignment;
};

KeyType KeysOfType(Oid type);

// Whether what an operator of that function asks for are keys.
bool AsksForKeys(Oid function);

// What follows is in CurrentMemoryContext; none of it is NULL.

// All that a value has, perhaps several times.
std::span<Datum> KeysOf(const KeyType& keys, Datum value);

// Some of those that `column operator constant` asks for: where it holds, the column has one of
// them at least. None: that cannot be said.
std::span<Datum> KeysAskedFor(const KeyType& keys, Oid function, Datum constant);

}  // namespace live_queries
