// Which outer joins can make a column NULL: since 16 each column says so itself, and has to be
// right for the planner. Queries that are taken apart are put together without; then it is noted
// anew. Before 16 this does nothing. Process: client backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

void ForgetNullingJoins(Query* query);

// In all queries within `query`; columns of joins are not among what it names.
void NoteNullingJoins(Query* query);

}  // namespace live_queries
