// Looks through the templates that ask the clock; mostly there is none. Process: evaluator.
#include "evaluate/clock_templates.hpp"

#include <algorithm>
#include <climits>

extern "C" {
#include "utils/timestamp.h"
}

namespace live_queries {

bool AnyWithNewTime(TimestampTz before, TimestampTz after) {
  bool any = false;
  ForEachWithNewTime(before, after, [&](Template*) { any = true; });
  return any;
}

long UntilClockMoves(TimestampTz before) {
  constexpr TimestampTz kNever = INT64_MAX;
  TimestampTz next = kNever;
  ForEachTemplateOn(Subject::kClock, 0, [&](const Template* common) {
    if (common->listening > 0)
      next = std::min(next, TimestampTz{NextTimeShown(before, common->spec.refresh_ms)});
  });
  if (next == kNever) return LONG_MAX;
  const int64 left_us = next - GetCurrentTimestamp();
  // Not too early, or there would be nothing to do yet.
  return left_us <= 0 ? 0 : static_cast<long>((left_us + 999) / 1000);
}

}  // namespace live_queries
