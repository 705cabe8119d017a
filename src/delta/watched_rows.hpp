// What is evaluated, restricted to the values that somebody watches: the whole query always, what a
// change may have made stale where few subscribe. So a change that touches the rows of many costs
// no more than those few. Process: evaluator.
#pragma once

#include "delta/delta_plan.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// What a plan evaluates, of those values alone.
struct WatchedRows {
  StaleSet* values;  // of the routing columns; nullptr: there are none, or the plan sees to it
  List* restricted;  // Restricted*, beside those of the plan
  Query* whole;      // that of the plan, if there are no values
};

// `routing_columns`: numbers of result columns. Adds to the parameters of `plan`. The number of
// the set is the one after those of the plan.
WatchedRows RestrictToWatched(List* routing_columns, DeltaPlan* plan);

}  // namespace live_queries
