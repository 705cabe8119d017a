// The difference of what two plans give under one snapshot, however large: the rows of both are
// sorted by their keys, past work_mem on disk, and told apart where they meet. Of lists, which are
// limited, the rows are held in memory. For live.set_params. Process: client backend.
#pragma once

#include "evaluate/difference.hpp"
#include "pg/postgres.hpp"
#include "query/plan.hpp"

namespace live_queries {

struct ResultDifference;

// Whether the result of `plan` is a list, of which clients are told where a row stands.
bool GivesList(const Plan& plan);

// Raises 54000 if so many bytes more could not wait for the client, with what does already: the
// next message of another live query would be past live_queries.spill_size, and reset that.
void RequireRoomFor(size_t bytes, size_t waiting);

// Reads both results under the active snapshot, as the current role; the difference is of the
// running subtransaction, in CurrentMemoryContext. Both plans have the same result columns, both or
// neither a key, and both or neither are lists. Raises whatever the queries raise, and 54000 if
// lists are too long.
ResultDifference* FindDifference(const Plan& before, const Plan& after);

// Whether they are lists: their changes are to be told in one message.
bool IsOfLists(const ResultDifference& difference);

// Hands out the changes that lead from the one result to the other: deletes, then updates, then
// inserts; of lists, deletes, then the others by position. What `report` is given lasts as long as
// its call. Raises XX000 if two rows of one side have the same key. Once: the difference ends with
// it.
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
