// Rows of a level below as values, as in row_to_json(q): they must not show the hidden columns that
// the level gets. Process: client backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Lets each query in `query` that is read as a whole row give that row as a column. Changes
// `query`.
void SelectWholeRows(Query* query);

}  // namespace live_queries
