// What values of a type are made of. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Whether `test` holds for `type` or for a type that its values contain: what a domain stands on,
// the elements of arrays, the bounds of ranges, the attributes of composite types.
bool AnyComponent(Oid type, bool (*test)(Oid type));

}  // namespace live_queries
