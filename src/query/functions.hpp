// Which functions a live query may call. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Raises 0A000 if `expressions` are volatile.
void RequireNoVolatile(List* expressions);

// Raises 0A000 if what is left of `expressions` after freezing reads more than its row.
void RequireRowFunctions(List* expressions);

// Replaces parameters by `values`, Const.
List* BindParams(List* expressions, List* values);

// Raises 0A000 if `checks`, those of domains, read more than the value.
void RequireSteadyChecks(List* checks);

// Does what the planner does: evaluates what is immutable and inlines functions, adding their
// hashes in the catalog cache, ints, to `*inlined`. The result is ready for the executor.
List* Simplify(List* expressions, List** inlined);

}  // namespace live_queries
