// The functions that an expression or a query calls, whatever stands between: operators, casts,
// types, the checks of domains. One walk for all who ask. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Oids, without doubles, in ascending order. Beside them: what changes with what each does, not
// with its privileges, nor with where its row is; and what the body of each calls.
struct CalledFunctions {
  List* oids;
  List* versions;  // ints; 0 for those of the server
  List* bodies;    // lists of oids, read once in an analysis; no part of the text of a QuerySpec
};

// Adds the functions that `tree`, of expressions or a query, calls, and those of the types and
// domains in it.
void NoteCalledFunctions(Node* tree, CalledFunctions* called);

// Whether `tree`, of whose functions `called` may know some, calls functions in SQL or a procedural
// language, which can ask for any setting by its name.
bool CallsProcedures(Node* tree, const CalledFunctions& called);

// Whether all of `former` is in `now`, each as it was.
bool IncludesFunctions(const CalledFunctions& now, const CalledFunctions& former);

// Raises 42501 if the current role may not execute what running `tree` would call; where the server
// does not ask, in the input and output of types, nor does this. It is as Simplify leaves it.
void RequireExecute(Node* tree);

// The same for what the bodies of `called` call: where a value has taken the place of a call, the
// server may keep a plan (18) that does not ask any more.
void RequireExecuteInBodies(const CalledFunctions& called);

}  // namespace live_queries
