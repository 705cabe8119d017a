// Where changes come from: what a message says of that, whichever strategy has found it. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace live_queries {

struct Origin {
  uint64_t seq;          // the position of the log that they lead to
  uint32_t xid;          // the top-level transaction that made them; 0: not one alone
  int64_t committed_at;  // microseconds since 2000-01-01 00:00 UTC, as TimestampTz
  // Those that made them together, where it was not one alone: numbers, with commas in between.
  std::string_view xids;
};

inline constexpr int kMostXids = 100;  // that are listed

}  // namespace live_queries
