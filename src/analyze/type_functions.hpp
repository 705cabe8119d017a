// The functions that stand behind the types of users: nothing in an expression names them.
// Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Oids of the functions that read, write and compare values of a user's `type`.
List* FunctionsOfType(Oid type);

// Oids of the users' types of which `tree` makes JSON: in a call of to_json and the like; of a
// query and of TargetEntry, also as the result.
List* TypesMadeJson(Node* tree);

// The user's function with which the server makes JSON of values of `type`; InvalidOid if there is
// no such cast, or none that it would use.
Oid JsonCastOf(Oid type);

// Raises 0A000 if values of `types` become JSON by a function that may give another result for the
// same value.
void RequireSteadyJson(List* types);

}  // namespace live_queries
