// The CONTEXT of errors: what was being done when they came. Process: any.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Runs `body`; what it raises meanwhile, notices too, is told by `say(argument)`, which calls
// errcontext.
template <class Body>
void WithErrorContext(void (*say)(void*), void* argument, Body&& body) {
  ErrorContextCallback callback = {error_context_stack, say, argument};
  error_context_stack = &callback;
  body();
  error_context_stack = callback.previous;
}

}  // namespace live_queries
