// The tables of a plan, watched in the dirty log. Process: evaluator.
#pragma once

#include "delta/delta_plan.hpp"
#include "pg/postgres.hpp"
#include "registry/identity_watches.hpp"

namespace live_queries {

struct PlanWatches {
  List** of_set;    // by number of the set, of a table: the watches of its relations, as integers
  List* all;        // of all sets, and of relations that are in none
  List* relations;  // oids, beside `all`
};

// Watches all of the plan's tables; `relations` are those with rows. Of one that is in no set, it
// is not told which rows have changed. In a transaction that has them locked; the result is in
// CurrentMemoryContext. May ereport: `*watches` says then what is watched, for UnwatchPlan.
void WatchPlan(DatabaseShared* database, DirtyLogShared* log, int consumer, const DeltaPlan& plan,
               List* relations, PlanWatches* watches);
void UnwatchPlan(DatabaseShared* database, DirtyLogShared* log, int consumer,
                 const PlanWatches& watches);

}  // namespace live_queries
