// The values of a plan's stale sets after a batch: of its tables, the identities of the rows that
// were changed, or for which the time makes a difference; of the others, what their probes find at
// either of two snapshots. They are the parameters of the queries that they restrict. Process:
// evaluator.
#pragma once

#include "delta/delta_plan.hpp"
#include "evaluate/changed_rows.hpp"
#include "evaluate/clock_rows.hpp"
#include "evaluate/kept_plan.hpp"
#include "evaluate/list_boundaries.hpp"
#include "evaluate/value_set.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace live_queries {

// The state of the database that subscribers have, and the one that they are to have. Both are
// registered.
struct SnapshotPair {
  Snapshot before;
  Snapshot after;
};

// The times that a query which asks the clock shows at the one and at the other.
struct ClockPair {
  TimestampTz before;
  TimestampTz after;
  bool quiet = false;  // it makes no difference for any row that was not changed between the two
};

// The rows of a table that were changed between two snapshots.
struct DirtyRows {
  bool all;      // which ones is not known
  bool all_new;  // each of these changes was an INSERT
  // The values of their identities, old ones and new ones, beside StaleSet::columns.
  ValueSet* columns;
};

// What is known of a batch from outside.
struct BatchSource {
  // The rows of a table's set.
  DirtyRows (*find_dirty)(const StaleSet& set, void* context);
  // The values, of the columns by which rows are routed, that somebody watches and that equal
  // these: the same pointer for the same. nullptr: nobody does.
  const Datum* (*find_watched)(const Datum* values, const bool* nulls, void* context);
  // All of those.
  void (*for_each_watched)(void (*visit)(const Datum* values, void* visitor), void* visitor,
                           void* context);
  // How many watch, at most as many values.
  int watchers;
  // Those that have been read for the batch; nullptr: changed rows are not looked through.
  ChangedRows* rows;
  void* context;
  bool only_parts;  // the whole result is not chosen because it costs less
};

// A query that is restricted by one stale set, ready to be run.
struct RestrictedPlan {
  int set;
  KeptPlan* plan;
};

// The stale sets of a plan, ready to be filled for each batch.
struct StaleSets {
  const DeltaPlan* plan;
  List** probes;               // by number of the set: RestrictedPlan*
  RowFilter** filters;         // by number of the set; nullptr: any row may matter
  const StaleSet* watched;     // WatchedRows::values
  KeptPlan* whole;             // the whole query, for all that is watched
  ClockPlans clock;            // what the time makes a difference for
  ListBoundaries* boundaries;  // nullptr: of no list
};

// In `context`, with which they go; `plan`, `watched` and `whole` stay the caller's.
// `routing`: the numbers of the result columns by which rows are routed.
StaleSets PrepareStaleSets(MemoryContext context, const DeltaPlan& plan, const StaleSet* watched,
                           KeptPlan* whole, List* routing);
List* PrepareRestricted(MemoryContext context, List* restricted);

// The parameters of all queries of a plan at the one and at the other: they differ in the time, if
// that moves.
struct ParamsPair {
  ParamListInfo before;
  ParamListInfo after;
};

struct StaleValues {
  ParamsPair params;
  bool* any;          // by number of the set: whether it has a value, or its probe found a row
  bool* all_new;      // by number of the set: the older snapshot has no row of it
  int* param_sizes;   // by number of the parameter, from 1: how many values the array has
  bool whole;         // they are too many, or not known: all may be stale, or is cheaper
  double cost;        // of the plans that know many values, as the planner sees it
  double whole_cost;  // of the whole result; 0: not asked yet
  bool timed;         // rows were changed of which a column is compared with the time
  uint64 spared;      // queries that were not run at the older snapshot for that reason
  uint64 beyond;      // rows that were found behind the last one of a list
  uint64 irrelevant;  // changed rows that do not matter
};

// The parameters of the whole query, in CurrentMemoryContext: the times if it asks for them, and
// all values that are watched.
StaleValues ValuesOfWhole(const StaleSets& sets, const ClockPair& clock, const BatchSource& source);

// Parameters of which the time alone is set.
ParamListInfo ParamsAt(const StaleSets& sets, TimestampTz clock);

// Sets the parameters of `set`, of routes, to all values that are watched.
void TakeWatched(const StaleSet& set, const BatchSource& source, StaleValues* values);

// Whether a query that this set restricts gives no row at the older snapshot; counts those.
bool IsEmptyBefore(StaleValues* values, int set);

// Of one batch, in CurrentMemoryContext; the clock stands still, or the plan has windows. Raises
// whatever the queries raise. `left_out`: a set whose probe is not run, -1: none.
StaleValues FindStaleValues(const StaleSets& sets, const SnapshotPair& snapshots,
                            const ClockPair& clock, const BatchSource& source, int left_out);

// Sets the parameters of `set`, whose probe has not been run, to these values, one ValueSet a
// column.
void TakeValues(const StaleSet& set, const ValueSet* columns, StaleValues* values);

// Adds what it costs to run `plan`, of a query that is restricted, and returns whether the whole
// result would have cost less by now: so at most twice the cheaper way is paid. Not asked of a
// generic plan, which is for few values. `of_result`: its rows are encoded and compared.
bool WholeIsCheaper(const StaleSets& sets, const RestrictedPlan& restricted,
                    const PlannedStmt& plan, bool of_result, const BatchSource& source,
                    StaleValues* values);

// Runs the probe of a set that was left out.
void TakeProbed(const StaleSets& sets, const StaleSet& set, const SnapshotPair& snapshots,
                const BatchSource& source, StaleValues* values);

// A plan that is as good as these values make worth planning, or the newer time, which it knows if
// `at_a_time`. It is good for the parameters of either side.
const PlannedStmt* PlanFor(KeptPlan* kept, const StaleValues& values, bool at_a_time = false);

}  // namespace live_queries
