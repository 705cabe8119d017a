// The rows of tables for which the time makes a difference, where a query does nothing with it but
// compare it with their columns (delta/clock_windows.hpp): found by the columns, between two times.
// Process: evaluator.
#pragma once

#include "delta/clock_windows.hpp"
#include "evaluate/kept_plan.hpp"
#include "evaluate/value_set.hpp"
#include "model/clock_steps.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

struct ClockPlans {
  const ClockWindows* windows;
  KeptPlan* bounds;
  List* rows;  // KeptPlan*, beside the windows
  List* next;  // likewise: ClockWindow::next
};

// In `context`, with which they go; `windows` stay the caller's.
ClockPlans PrepareClockPlans(MemoryContext context, const ClockWindows& windows);

struct ClockRows {
  bool all;      // which ones is not known
  List* tables;  // of what RowsOfTable finds
};

// The rows that are there in `snapshot`, between the times of `before` and `after`, the parameters
// of the two sides. Those of the bounds are set in the latter. In CurrentMemoryContext; needs an
// active snapshot. Where a bound raises an error, which ones is not known.
ClockRows FindClockRows(const ClockPlans& plans, ParamListInfo before, ParamListInfo after,
                        Snapshot snapshot);

// How long, from the time of `params` on, that makes no difference for any row of `snapshot`. Sets
// the bounds in `params`; needs an active snapshot. Where that cannot be told, it covers no time.
ClockAlarm FindAlarm(const ClockPlans& plans, ParamListInfo params, Snapshot snapshot);

// Whether a window is of the table.
bool IsWindowed(const ClockPlans& plans, Oid table);

// Their identities, beside StaleSet::columns of the table; nullptr: there are none.
const ValueSet* RowsOfTable(const ClockRows& rows, Oid table);

}  // namespace live_queries
