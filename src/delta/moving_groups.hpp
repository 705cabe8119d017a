// Aggregates that the server can run backwards, as it does in the frames of windows, and extremes:
// where the result is a level that groups, and has no others, a group that changes need not be read
// again. What is kept of it is moved on by the rows that come and taken back by those that go.
// Process: client backend, evaluator.
#pragma once

#include "delta/stale_sets.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

struct Level;
struct Planner;

// Where an aggregate's input stands in a row of the queries of MovingGroups.
struct MovingInput {
  const Aggref* aggregate;
  AttrNumber filter;  // 0: every row counts
  AttrNumber first;   // of its arguments, one behind the other
  bool extreme;       // min, max or their like: there is no inverse function
};

struct MovingGroups {
  int set;            // the stale set of the groups
  List* groups;       // expressions, the first columns of the rows of these queries
  bool without_rows;  // a group is shown also if it has none
  List* aggregates;   // MovingInput*
  List* inputs;       // Restricted*: the rows that may have come or gone, each in one of them
  Query* members;     // all rows of the groups that are in the set
  List* result;       // TargetEntry*, the result columns: of a row of groups and aggregates
  Node* having;       // likewise; nullptr: all groups are shown
};

// The columns of that row: the groups, then the aggregates.
constexpr int kGroupRow = 1;

// Of the level that gives the result. nullptr: it is not of this kind.
const MovingGroups* PlanMovingGroups(const Planner& planner, const Level& level);

}  // namespace live_queries
