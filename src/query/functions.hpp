// Which functions a live query may call, and when they are evaluated. Process: client backend,
// decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Raises 0A000 if `expressions` are volatile.
void RequireNoVolatile(List* expressions);

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

// Replaces parameters by `values`, Const.
List* BindParams(List* expressions, List* values);

// Hashes in the catalog cache, as ints, of the user's functions in `expressions`.
List* UserFunctions(List* expressions);

// Evaluates what is immutable and inlines functions, adding their hashes to `*called`; the result
// is ready for the executor.
List* Simplify(List* expressions, List** called);

}  // namespace live_queries
