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

// A call of a polymorphic function of a user's in SQL: of which types its body is depends on it.
struct TypedCall {
  Oid function;
  Node* call;  // that the server finds these types in
};

// Adds such calls in `node`, TypedCall, to `*calls`, but one for the same types.
void NoteTypedCalls(Node* node, List** calls);

// The functions that the body of `function` calls, oids, as far as it reads no table; its calls of
// polymorphic ones are added to `*calls`. NIL if it is polymorphic itself, if it is not one of a
// user's in SQL that runs as its caller, with its caller's settings, or if its body cannot be read
// now. Raises 0A000 if a literal of its text is a date/time of the clock: inlined, it would be that
// of one moment.
List* FunctionsInBody(Oid function, List** calls);
// The same of a polymorphic one, as it is called.
List* FunctionsInBody(const TypedCall& call, List** calls);

}  // namespace live_queries
