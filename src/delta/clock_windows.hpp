// Queries that do nothing with the time but compare it with columns of tables, as `at > now() -
// interval '1 hour'`. What such a comparison says of a row changes with the time only where the
// column lies between what it was compared with and what it is compared with now, or at one of the
// two: so these rows are found, by an index on the column, and taken as changed (delta/README.md,
// "The clock"). Process: client backend, evaluator.
#pragma once

#include "delta/clock_course.hpp"
#include "delta/stale_sets.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// One comparison of a column with something that is computed of the time.
struct ClockWindow {
  Oid table;
  AttrNumber column;
  Oid type;    // of both sides
  bool equal;  // = or <>: what lies between the two values is told apart from neither
  Expr* bound;
  ClockCourse course;  // of the bound
  List* relations;     // oids of the tables with rows of `table`
  Query* rows;  // the identities of the rows of `table` between $low and $high; if `equal`, at them
  Query* next;  // the smallest value of the column from $low on, if there is one
  int low;
  int high;
  const StaleSet* set;  // the first of the table, in the plan; the others are of the same columns
};

struct ClockWindows {
  const char* why_none;  // nullptr; or why the whole query is evaluated when the time moves
  List* all;             // ClockWindow*
  Query* bounds;         // their bounds at a time, kClockParam: one row, a column for each of them
};

// All comparisons of `query` with the time, with parameters behind `*params`.
ClockWindows FindClockWindows(Query* query, int* params);

// nullptr: it can be told beforehand when the time makes a difference next, from what the columns
// are compared with and what their indexes find; or why not, so that it is looked at in steps.
const char* WhyNoAlarm(const ClockWindows& windows);

// Finds their sets among those of the plan (StaleSet*), which has been made since.
void SettleClockWindows(List* sets, ClockWindows* windows);

}  // namespace live_queries
