// Scoped use of lightweight locks. On error the server releases them (LWLockReleaseAll).
// Process: any.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Runs `body` while holding `lock` in `mode` and returns what it returns.
template <class Body>
auto WithLock(LWLock* lock, LWLockMode mode, Body&& body) {
  LWLockAcquire(lock, mode);
  if constexpr (std::is_void_v<decltype(body())>) {
    body();
    LWLockRelease(lock);
  } else {
    auto result = body();
    static_assert(std::is_trivially_destructible_v<decltype(result)>);
    LWLockRelease(lock);
    return result;
  }
}

}  // namespace live_queries
