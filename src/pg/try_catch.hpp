// The one home of PG_TRY. A frame that uses it holds trivially destructible objects only.
// Process: any.
#pragma once

#include "pg/postgres.hpp"

// The server's own macros are built with this warning off as well.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wclobbered"
#endif

namespace live_queries {

// Runs `body`; if it ereports, runs `handler` with the error (copied into `context`). The handler
// re-throws it, or its caller aborts the transaction or subtransaction in which `body` ran.
template <class Body, class Handler>
[[gnu::noinline]] void TryCatch(MemoryContext context, Body&& body, Handler&& handler) {
  ErrorData* volatile error = nullptr;
  PG_TRY();
  { body(); }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    error = CopyErrorData();
    FlushErrorState();
  }
  PG_END_TRY();
  if (error != nullptr) handler(error);
}

// Runs `body`, then `finally`, also when `body` ereports; the error goes on.
template <class Body, class Finally>
[[gnu::noinline]] void TryFinally(Body&& body, Finally&& finally) {
  PG_TRY();
  { body(); }
  PG_FINALLY();
  { finally(); }
  PG_END_TRY();
}

}  // namespace live_queries
