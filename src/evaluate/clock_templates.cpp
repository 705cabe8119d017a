// Looks through the templates that ask the clock; mostly there is none. Process: evaluator.
#include "evaluate/clock_templates.hpp"

#include <algorithm>
#include <climits>

#include "evaluate/delta_template.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

// nullptr: it has not been evaluated since something about it has changed.
const DeltaEvaluation* EvaluationOf(const Template& common) {
  const auto* part = static_cast<const DeltaTemplate*>(common.part);
  return part == nullptr ? nullptr : part->evaluation;
}

// The first moment at which it may have to be evaluated, if it has come to `before`.
TimestampTz NextMoment(const Template& common, TimestampTz before) {
  const int refresh_ms = common.spec.refresh_ms;
  const DeltaEvaluation* evaluation = EvaluationOf(common);
  const auto until = evaluation == nullptr
                         ? std::nullopt
                         : QuietUntil(*evaluation, TimeShownAt(before, refresh_ms));
  return until ? FirstShownFrom(*until, refresh_ms) : NextTimeShown(before, refresh_ms);
}

}  // namespace

bool ClockMoves(const Template& common, TimestampTz before, TimestampTz after) {
  const int refresh_ms = common.spec.refresh_ms;
  if (refresh_ms == 0) return false;
  const ClockPair clock = {TimeShownAt(before, refresh_ms), TimeShownAt(after, refresh_ms)};
  const DeltaEvaluation* evaluation = EvaluationOf(common);
  return evaluation == nullptr ? clock.before != clock.after : ClockMatters(*evaluation, clock);
}

bool AnyWithNewTime(TimestampTz before, TimestampTz after) {
  bool any = false;
  ForEachWithNewTime(before, after, [&](Template*) { any = true; });
  return any;
}

long UntilClockMoves(TimestampTz before) {
  constexpr TimestampTz kNever = INT64_MAX;
  TimestampTz next = kNever;
  ForEachTemplateOn(Subject::kClock, 0, [&](const Template* common) {
    if (common->listening > 0) next = std::min(next, NextMoment(*common, before));
  });
  if (next == kNever) return LONG_MAX;
  const int64 left_us = next - GetCurrentTimestamp();
  // Not too early, or there would be nothing to do yet.
  return left_us <= 0 ? 0 : static_cast<long>((left_us + 999) / 1000);
}

}  // namespace live_queries
