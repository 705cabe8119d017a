// How something that is computed of the time goes on with it: so that the moment can be told at
// which it comes to a value. Process: client backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/nodes.h"
}

namespace live_queries {

enum class ClockCourse : uint8_t {
  kUnknown,
  kEven,      // as the time does: `now() - interval '1 hour'`
  kLocal,     // as the time does, but for what the calendar and daylight saving time do at quarters
              // of an hour (model/clock_steps.hpp): `localtimestamp`, `now() - interval '1 month'`
  kStanding,  // it moves at quarters of an hour alone: `current_date`
};

// Of an expression of kClockParam and constants, whose value is a timestamptz, timestamp or date.
ClockCourse CourseOf(Node* bound);

}  // namespace live_queries
