// The error for queries that cannot be watched. Process: any.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Raises 0A000. `reason` completes "cannot watch this query: ".
[[noreturn]] inline void RaiseUnsupported(const char* reason) {
  ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
          errmsg("cannot watch this query: %s", reason),
          errhint("A live query is SELECT expressions FROM one table [WHERE condition]."));
  pg_unreachable();
}

}  // namespace live_queries
