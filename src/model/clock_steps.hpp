// The time that a live query shows which asks the clock: it goes in steps, which are counted from
// 2000-01-01 00:00 UTC. So from one moment of an evaluator and the length of a step it is known
// what every query shows that has come to that moment, whenever it was evaluated last. One whose
// rows come and leave by an alarm shows steps as short as these can be: mostly, nothing changes
// with them, so nothing is done. Pure.
#pragma once

#include <cstdint>

namespace live_queries {

inline constexpr int kDefaultRefreshMs = 1000;
inline constexpr int kShortestRefreshMs = 10;
inline constexpr int kLongestRefreshMs = 24 * 60 * 60 * 1000;
// The steps of a query with an alarm: so late a row may leave, and so often rows may at most.
inline constexpr int kAlarmStepMs = 20;
// Calendars, and the clocks of all time zones, change at multiples of it.
inline constexpr int64_t kQuarterOfHour = int64_t{15 * 60} * 1000 * 1000;

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

// The steps of a query for which its subscriber has asked for these.
constexpr int StepsOf(bool alarm, int refresh_ms) {
  return alarm && refresh_ms > kAlarmStepMs ? kAlarmStepMs : refresh_ms;
}

// The first step at `moment` or after it; the end of time has none.
constexpr int64_t FirstShownFrom(int64_t moment, int refresh_ms) {
  const int64_t step = int64_t{refresh_ms} * 1000;
  return moment > INT64_MAX - step ? INT64_MAX : TimeShownAt(moment + step - 1, refresh_ms);
}

constexpr int64_t NextQuarter(int64_t now) {
  const int64_t beyond = now % kQuarterOfHour;
  return now - beyond + (beyond < 0 ? 0 : kQuarterOfHour);
}

// Between which times nothing changes by the time alone: from the one that was looked at to the
// alarm, the first moment at which something may.
struct ClockAlarm {
  int64_t from = 0;
  int64_t until = 0;

  constexpr bool Covers(int64_t time) const { return from <= time && time < until; }
};

}  // namespace live_queries
