// Where changes come from: what a message says of that, whichever strategy has found it. Pure.
#pragma once

#include <cstdint>

namespace live_queries {

struct Origin {
  uint64_t seq;          // the position of the log that they lead to
  uint32_t xid;          // the top-level transaction that made them; 0: not one alone
  int64_t committed_at;  // microseconds since 2000-01-01 00:00 UTC, as TimestampTz
};

}  // namespace live_queries
