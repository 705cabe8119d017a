// A query of a plan, planned and executed. A generic plan, which knows nothing of its parameters,
// is kept until something that it depends on changes. The server's own cache cannot be used: it
// plans from a text again, and these queries have none. Process: evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "utils/snapshot.h"
}

namespace live_queries {

// From so many values of a parameter on, a plan that knows them is worth its making: a generic one
// takes every array for ten values.
constexpr int kPlannedAnew = 100;

struct KeptPlan {
  KeptPlan* next;         // of all in this process
  MemoryContext context;  // of what is below, and of the kept plan
  const Query* query;
  Bitmapset* params;       // those that it uses
  MemoryContext planning;  // of `generic`
  PlannedStmt* generic;    // nullptr: there is none yet
  bool valid;              // `generic` is as it would be planned now
};

// Lets plans learn of changes of catalogs. Once, at the start of the process.
void PrepareKeptPlans();

// In `context`, with which it goes. Nothing is planned yet. `query` stays the caller's.
KeptPlan* KeepPlan(MemoryContext context, const Query* query);

// A plan for these parameters, for as many executions as there are: the kept one, or if `generic`
// is false one of its own in CurrentMemoryContext. All tables of it are locked until the end of the
// (sub)transaction. Needs an active snapshot.
const PlannedStmt* PlanQuery(KeptPlan* kept, ParamListInfo params, bool generic);

// What the planner thinks that it costs, in its units: pages that are read one after the other.
inline double CostOf(const PlannedStmt& plan) { return plan.planTree->total_cost; }

// Returns false if it needs no more rows.
using ReceiveRow = bool (*)(TupleTableSlot* row, void* context);

// Executes it under `snapshot`, until `limit` rows (0: all of them) were received. Within
// `receive`, which may return nothing, the current memory context is that of the caller.
void Execute(const PlannedStmt* plan, ParamListInfo params, Snapshot snapshot, uint64 limit,
             ReceiveRow receive, void* context);

template <class Receive>
void Execute(const PlannedStmt* plan, ParamListInfo params, Snapshot snapshot, uint64 limit,
             Receive&& receive) {
  Execute(
      plan, params, snapshot, limit,
      [](TupleTableSlot* row, void* body) {
        auto& receive_row = *static_cast<std::remove_reference_t<Receive>*>(body);
        if constexpr (std::is_void_v<decltype(receive_row(row))>) {
          receive_row(row);
          return true;
        } else {
          return receive_row(row);
        }
      },
      &receive);
}

}  // namespace live_queries
