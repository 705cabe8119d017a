// Which functions a live query may call: a step of the analysis (analyzed_query.cpp,
// stream_plan.cpp). Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Raises 0A000 if `tree`, of expressions or a query, calls a volatile function.
void RequireNoVolatile(Node* tree);

// Raises 0A000 if what is left of `tree` after freezing reads more than its row.
void RequireRowFunctions(Node* tree);

// `tree` with its parameters replaced by `values`, Const.
Node* BindParams(Node* tree, List* values);

// Raises 0A000 if `checks`, those of domains, read more than the value.
void RequireSteadyChecks(Node* checks);

// Does what the planner does, on each expression in `tree`: evaluates what is immutable and inlines
// functions, adding their hashes in the catalog cache, ints, to `*inlined`. Expressions of the
// result are ready for the executor.
Node* Simplify(Node* tree, List** inlined);

}  // namespace live_queries
