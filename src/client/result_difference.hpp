// The difference of what two plans give under one snapshot, however large: the rows of both are
// sorted by their keys, past work_mem on disk, and told apart where they meet. For live.set_params.
// Process: client backend.
#pragma once

#include "evaluate/difference.hpp"
#include "pg/postgres.hpp"
#include "query/plan.hpp"

namespace live_queries {

struct ResultDifference;

// Reads both results under the active snapshot, as the current role; the difference is of the
// running subtransaction, in CurrentMemoryContext. Both plans have the same result columns, and both
// or neither a key. Raises whatever the queries raise.
ResultDifference* FindDifference(const Plan& before, const Plan& after);

// Hands out the changes that lead from the one result to the other: deletes, then updates, then
// inserts. What `report` is given lasts as long as its call. Raises XX000 if two rows of one side
// have the same key. Once: the difference ends with it.
void ReportDifference(ResultDifference* difference, void (*report)(const ResultChange&, void*),
                      void* context);

template <class Report>
void ReportDifference(ResultDifference* difference, Report&& report) {
  ReportDifference(
      difference,
      [](const ResultChange& change, void* body) {
        (*static_cast<std::remove_reference_t<Report>*>(body))(change);
      },
      &report);
}

}  // namespace live_queries
