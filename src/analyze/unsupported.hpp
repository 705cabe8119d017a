// The errors for queries that cannot be watched. Process: any.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Why a strategy cannot watch a query: the error, where no other can either.
struct WhyNot {
  int sqlstate;
  const char* message;
  const char* detail;  // nullptr: none
  const char* hint;    // likewise
};

// `reason` completes "cannot watch this query: ".
inline WhyNot Unsupported(const char* reason) {
  return {ERRCODE_FEATURE_NOT_SUPPORTED, psprintf("cannot watch this query: %s", reason), nullptr,
          nullptr};
}

[[noreturn]] inline void Raise(const WhyNot& why_not) {
  ereport(ERROR, errcode(why_not.sqlstate), errmsg("%s", why_not.message),
          why_not.detail == nullptr ? 0 : errdetail("%s", why_not.detail),
          why_not.hint == nullptr ? 0 : errhint("%s", why_not.hint));
  pg_unreachable();
}

// Raises 0A000, whatever the strategy.
[[noreturn]] inline void RaiseUnsupported(const char* reason) { Raise(Unsupported(reason)); }

}  // namespace live_queries
