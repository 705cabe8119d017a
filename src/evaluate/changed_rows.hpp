// The rows of tables that a batch has changed, as they are at both of its snapshots. They are read
// once for all plans, each of which looks through them for those that matter where it reads the
// table (delta/relevant_rows.hpp). Process: evaluator.
#pragma once

#include "delta/relevant_rows.hpp"
#include "evaluate/kept_plan.hpp"
#include "evaluate/value_set.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/execnodes.h"
}

namespace live_queries {

// A batch by whose values more rows of a table than that may be found is not looked through.
constexpr int kMostLookedThrough = 1000;

// The tables that somebody has asked for.
struct ChangedRows {
  MemoryContext context;
  List* tables;
};

// In CurrentMemoryContext, with which they go.
ChangedRows* NoChangedRows();

// Who watches a value of the routing columns; nullptr: nobody does.
struct Watching {
  const Datum* (*find)(const Datum* values, const bool* nulls, void* context);
  void* context;
};

// What is relevant of one stale set, ready to be looked for.
struct RowFilter {
  const RelevantRows* relevant;
  List* routes;  // RoutesInTable
  const StaleSet* set;
  KeptPlan* versions;
  ExprState* condition;
  ExprContext* context;
};

// In `context`, with which it goes; `routes` stay the caller's. nullptr: any row may matter.
RowFilter* PrepareFilter(MemoryContext context, const StaleSet& set, List* routes);

// Of the rows with these identities (one ValueSet a column, `count` pairs of values), those that
// matter, at one of the snapshots. Of several columns, it may be rows that have not changed. They
// are in CurrentMemoryContext. `before` is nullptr if none of them was there. Raises what reading
// raises.
ValueSet* FindRelevant(const RowFilter& filter, const ValueSet* columns, int count, Snapshot before,
                       Snapshot after, const Watching& watching, ChangedRows* rows);

}  // namespace live_queries
