// The time that a live query shows which asks the clock: it goes in steps, which are counted from
// 2000-01-01 00:00 UTC. So from one moment of an evaluator and the length of a step it is known
// what every query shows that has come to that moment, whenever it was evaluated last. Pure.
#pragma once

#include <cstdint>

namespace live_queries {

inline constexpr int kDefaultRefreshMs = 1000;
inline constexpr int kShortestRefreshMs = 10;
inline constexpr int kLongestRefreshMs = 24 * 60 * 60 * 1000;

// The time that is shown at `now`, the last step before it or at it. Both in microseconds, as
// TimestampTz.
constexpr int64_t TimeShownAt(int64_t now, int refresh_ms) {
  const int64_t step = int64_t{refresh_ms} * 1000;
  const int64_t beyond = now % step;
  return now - (beyond < 0 ? beyond + step : beyond);
}

// When another one is shown.
constexpr int64_t NextTimeShown(int64_t now, int refresh_ms) {
  return TimeShownAt(now, refresh_ms) + int64_t{refresh_ms} * 1000;
}

}  // namespace live_queries
