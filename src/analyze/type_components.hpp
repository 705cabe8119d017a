// What values of a type are made of. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Whether `test` holds for `type` or for a type that its values contain: what a domain stands on,
// the elements of arrays, the bounds of ranges, the attributes of composite types.
bool AnyComponent(Oid type, bool (*test)(Oid type));

// Oids of the users' types among these.
List* UserTypesOf(Oid type);

// Whether `test` holds for a type that values in `tree` are of or contain.
bool AnyTypeIn(Node* tree, bool (*test)(Oid type));

// Oids, without doubles, of the users' types that values in `tree` are of or contain; of
// those that are stored in columns only if `columns_too`.
List* TypesIn(Node* tree, bool columns_too);

}  // namespace live_queries
