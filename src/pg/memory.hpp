// Scoped use of memory contexts. Nothing here restores anything on error: the server's abort does.
// Process: any.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Runs `body` with CurrentMemoryContext set to `context` and returns what it returns.
template <class Body>
auto InMemoryContext(MemoryContext context, Body&& body) {
  MemoryContext outer = MemoryContextSwitchTo(context);
  if constexpr (std::is_void_v<decltype(body())>) {
    body();
    MemoryContextSwitchTo(outer);
  } else {
    auto result = body();
    static_assert(std::is_trivially_destructible_v<decltype(result)>);
    MemoryContextSwitchTo(outer);
    return result;
  }
}

// A zeroed T in `context`. T is never destroyed, only its context is reset.
template <class T>
T* AllocateIn(MemoryContext context) {
  static_assert(std::is_trivially_destructible_v<T>);
  return static_cast<T*>(MemoryContextAllocZero(context, sizeof(T)));
}

}  // namespace live_queries
