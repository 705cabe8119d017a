// The functions that an expression calls, whatever stands between: operators, casts, types, the
// checks of domains. One walk for all who ask. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Oids, without doubles, in ascending order, and beside them what changes with what each does: not
// with its privileges, nor with where its row is.
struct CalledFunctions {
  List* oids;
  List* versions;  // ints; 0 for those of the server
};

// Adds the functions that `expressions` call, and those of the types and domains in them.
void NoteCalledFunctions(List* expressions, CalledFunctions* called);

// Whether `expressions` call functions in SQL or a procedural language, which can ask for any
// setting by its name.
bool CallProcedures(List* expressions);

// Whether all of `former` is in `now`, each as it was.
bool IncludesFunctions(const CalledFunctions& now, const CalledFunctions& former);

// Raises 42501 if the current role may not execute what running `expressions` would call; where the
// server does not ask, in the input and output of types, nor does this. They are as the planner
// leaves them.
void RequireExecute(List* expressions);

// The same for what the bodies of `called` call: where a value has taken the place of a call, the
// server may keep a plan (18) that does not ask any more.
void RequireExecuteInBodies(const CalledFunctions& called);

}  // namespace live_queries
