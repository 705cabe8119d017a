// The templates whose queries ask the clock, and when that makes a difference: then they are
// evaluated, though nothing has changed. What they show is the step of the clock that the moment of
// S1 is in (model/clock_steps.hpp). With an alarm, it is known for how long these steps make none;
// without one, each may. Process: evaluator.
#pragma once

#include "model/clock_steps.hpp"
#include "pg/postgres.hpp"
#include "template/template_table.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace live_queries {

// Whether the time of `common` moves between two moments, so that it may make a difference.
bool ClockMoves(const Template& common, TimestampTz before, TimestampTz after);

// Visits those with somebody who listens for which it does.
template <class Visit>
void ForEachWithNewTime(TimestampTz before, TimestampTz after, Visit&& visit) {
  ForEachTemplateOn(Subject::kClock, 0, [&](Template* common) {
    if (common->listening > 0 && ClockMoves(*common, before, after)) visit(common);
  });
}

bool AnyWithNewTime(TimestampTz before, TimestampTz after);

// Milliseconds until there is one, where the moment is `before` as yet; LONG_MAX: nobody who
// listens asks the clock.
long UntilClockMoves(TimestampTz before);

}  // namespace live_queries
