// Which functions stand in an expression; and in the bodies of functions in SQL, whose calls
// PostgreSQL can put in their place, or replace by a value, so that nothing of them is left in an
// expression. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Adds the oids of the functions that `node` calls, sub-selects included, to `*oids`, without
// doubles.
void NoteFunctionsIn(Node* node, List** oids);

// The functions that the body of `function` calls, oids, as far as it reads no table. NIL if it is
// not one of a user's in SQL that runs as its caller, with its caller's settings, or if its body
// cannot be read now. Raises 0A000 if a literal of its text is a date/time of the clock: inlined,
// it would be that of one moment.
List* FunctionsInBody(Oid function);

}  // namespace live_queries
