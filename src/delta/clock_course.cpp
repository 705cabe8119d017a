// Known is what is made of the time step by step: by adding intervals, from time zone to time zone,
// and by leaving out the smaller parts. Calendars and time zones do what they do when the clock
// shows a quarter of an hour, so it must show that whenever the time does: nothing else may have
// been added before. Process: client backend, evaluator.
#include "delta/clock_course.hpp"

#include <algorithm>
#include <string_view>

#include "analyze/clock.hpp"
#include "analyze/tree.hpp"
#include "model/clock_steps.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

struct Progress {
  ClockCourse course;
  bool shifted;  // by what is no multiple of a quarter of an hour
};

constexpr Progress kNotKnown = {ClockCourse::kUnknown, false};

Progress ProgressOf(Node* node);

// nullptr: it is none, or NULL.
const Const* ConstantOf(Node* node, Oid type) {
  node = WithoutRelabel(node);
  if (!IsA(node, Const)) return nullptr;
  const Const* value = castNode(Const, node);
  return value->constisnull || value->consttype != type ? nullptr : value;
}

// What the calendar or a time zone makes of it.
Progress Local(Progress progress) {
  if (progress.shifted) return kNotKnown;
  if (progress.course == ClockCourse::kEven) progress.course = ClockCourse::kLocal;
  return progress;
}

Progress Standing(Progress progress) {
  if (progress.shifted || progress.course == ClockCourse::kUnknown) return kNotKnown;
  return {ClockCourse::kStanding, false};
}

// With an interval added or subtracted: months and days first, as the server does it.
Progress Shifted(Progress progress, Node* interval) {
  const Const* constant = ConstantOf(interval, INTERVALOID);
  if (constant == nullptr) return kNotKnown;
  const Interval& shift = *DatumGetIntervalP(constant->constvalue);
  // Some of these are infinite since 17.
  if (shift.month == PG_INT32_MAX || shift.month == PG_INT32_MIN) return kNotKnown;
  if (shift.month != 0 || shift.day != 0) progress = Local(progress);
  progress.shifted = progress.shifted || shift.time % kQuarterOfHour != 0;
  return progress;
}

bool LeavesWholeHours(Node* unit) {
  const Const* constant = ConstantOf(unit, TEXTOID);
  if (constant == nullptr) return false;
  const std::string_view name = TextDatumGetCString(constant->constvalue);
  constexpr std::string_view kUnits[] = {"hour", "day",    "week",    "month",     "quarter",
                                         "year", "decade", "century", "millennium"};
  return std::find(std::begin(kUnits), std::end(kUnits), name) != std::end(kUnits);
}

Progress ProgressOfCall(Oid function, List* args) {
  Node* first = static_cast<Node*>(linitial(args));
  Node* second = list_length(args) > 1 ? static_cast<Node*>(lsecond(args)) : nullptr;
  switch (function) {
    case F_TIMESTAMPTZ_PL_INTERVAL:
    case F_TIMESTAMPTZ_MI_INTERVAL:
    case F_TIMESTAMP_PL_INTERVAL:
    case F_TIMESTAMP_MI_INTERVAL:
    case F_DATE_PL_INTERVAL:
    case F_DATE_MI_INTERVAL:
      return Shifted(ProgressOf(first), second);
    case F_INTERVAL_PL_TIMESTAMPTZ:
    case F_INTERVAL_PL_TIMESTAMP:
    case F_INTERVAL_PL_DATE:
      return Shifted(ProgressOf(second), first);
    case F_TIMESTAMP_TIMESTAMPTZ:
    case F_TIMESTAMPTZ_TIMESTAMP:
      return Local(ProgressOf(first));
    case F_TIMEZONE_TEXT_TIMESTAMPTZ:
    case F_TIMEZONE_TEXT_TIMESTAMP:
      return ConstantOf(first, TEXTOID) == nullptr ? kNotKnown : Local(ProgressOf(second));
    case F_DATE_TIMESTAMPTZ:
    case F_DATE_TIMESTAMP:
      return Standing(ProgressOf(first));
    case F_TIMESTAMP_DATE:
    case F_TIMESTAMPTZ_DATE:
      return ProgressOf(first);
    case F_DATE_PLI:
    case F_DATE_MII:
      return ConstantOf(second, INT4OID) == nullptr ? kNotKnown : ProgressOf(first);
    case F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT:
      if (ConstantOf(static_cast<Node*>(lthird(args)), TEXTOID) == nullptr) return kNotKnown;
      [[fallthrough]];
    case F_DATE_TRUNC_TEXT_TIMESTAMPTZ:
    case F_DATE_TRUNC_TEXT_TIMESTAMP:
      return LeavesWholeHours(first) ? Standing(ProgressOf(second)) : kNotKnown;
    default:
      return kNotKnown;
  }
}

Progress ProgressOf(Node* node) {
  node = WithoutRelabel(node);
  if (IsClockParam(node)) return {ClockCourse::kEven, false};
  if (IsA(node, FuncExpr)) {
    const FuncExpr* call = castNode(FuncExpr, node);
    return call->args == NIL ? kNotKnown : ProgressOfCall(call->funcid, call->args);
  }
  if (IsA(node, OpExpr)) {
    OpExpr* operation = castNode(OpExpr, node);
    set_opfuncid(operation);
    return ProgressOfCall(operation->opfuncid, operation->args);
  }
  return kNotKnown;
}

}  // namespace

ClockCourse CourseOf(Node* bound) { return ProgressOf(bound).course; }

}  // namespace live_queries
