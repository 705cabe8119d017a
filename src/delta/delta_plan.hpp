// The delta strategy: which queries find what a batch of changes may have made stale in a result,
// and which evaluate just that. Process: client backend, evaluator.
#pragma once

#include "delta/clock_windows.hpp"
#include "delta/stale_sets.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

struct ListBoundary;
struct MovingGroups;

struct DeltaPlan {
  Query* query;      // with hidden columns at its end
  int shown;         // result columns before those
  List* key;         // numbers of the columns that name a row
  bool bag;          // nothing names a row
  bool list;         // ORDER BY and LIMIT: subscribers are told where a row stands
  List* sets;        // StaleSet*
  List* restricted;  // Restricted*: what of the result may differ, each row in one of them
  const MovingGroups* moving;    // nullptr: groups are not kept (delta/moving_groups.hpp)
  const ListBoundary* boundary;  // nullptr: of no list (delta/list_boundary.hpp)
  int params;                    // of all these queries
  bool asks_clock;               // kClockParam (analyze/clock.hpp) is one of those
  ClockWindows windows;          // if it does, and not the whole query is evaluated anyway
  const char* why_whole;  // nullptr; or why the whole query is evaluated whenever a table changes:
                          // then the sets are the tables
  List* decided;          // String: how what SQL leaves open in it is decided
  List* tables;           // oids of those that it reads
  const char* refused;  // nullptr; or what has no answer that a difference could be made of, to be
                        // raised as 0A000 "cannot watch this query: ...": the rest is of no use
  const char* cure;     // as a hint
};

// Whether the result of `query`, analysed, is a list. Its order is decided to the last then: that
// of WITH TIES is not.
bool IsList(const Query& query);

// Why a query that asks the clock is looked at in steps; nullptr: it has an alarm.
inline const char* WhyInSteps(const DeltaPlan& plan) {
  if (plan.why_whole != nullptr) return plan.why_whole;
  return plan.windows.why_none != nullptr ? plan.windows.why_none : WhyNoAlarm(plan.windows);
}

// Plans `query`, analysed, any SELECT. Raises 42809 or 0A000 for tables that cannot be watched.
DeltaPlan PlanDelta(const Query* query);

}  // namespace live_queries
