// Which functions a live query may call, and when they are evaluated. Process: client backend,
// decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Raises 0A000 if `expressions` depend on the time, or are volatile.
void RequireNoTimeAndNoVolatile(List* expressions);

// Raises 0A000 if what is left of `expressions` after freezing reads more than its row.
void RequireRowFunctions(List* expressions);

// The values of stable expressions without columns, from subscribe time.
struct FrozenValues {
  bool known_only;  // a value that is not known raises an error, but for current_user
  List* values;     // List of (String: the expression, Const)
};

// Replaces each stable expression without columns by its value: as `frozen` knows it, or evaluated
// now, as the current role, and added to `frozen`.
List* Freeze(List* expressions, FrozenValues* frozen);

// Replaces parameters by `values`, Const. Evaluates what is immutable; ready for the executor.
List* BindParams(List* expressions, List* values);
List* Simplify(List* expressions);

}  // namespace live_queries
