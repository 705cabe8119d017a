// Under a snapshot that is older than its transaction, an index that was built CONCURRENTLY later
// is no way to a table: what that snapshot alone still sees may be missing in it. Such indexes are
// hidden from the planner. Process: evaluator, client backend.
#pragma once

#include "pg/postgres.hpp"
#include "pg/try_catch.hpp"

namespace live_queries {

// From _PG_init.
void InstallIndexAgeHook();

// From here on, if `only_old`, plans are made without indexes that are younger than the oldest
// snapshot of this process; returns what was before. A plan that lacks one is made anew later.
bool UseOldIndexesOnly(bool only_old);

// Plans are so within `body`.
template <class Body>
void WithOldIndexesOnly(Body&& body) {
  const bool outer = UseOldIndexesOnly(true);
  TryFinally(body, [&] { (void)UseOldIndexesOnly(outer); });
}

}  // namespace live_queries
