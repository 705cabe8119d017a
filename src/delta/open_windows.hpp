// Window functions whose result depends on the order of rows that are equal in their window's ORDER
// BY. Process: client backend, evaluator.
#pragma once

#include "delta/decisions.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Decides what the window functions of `query` leave open, by `row_key`, expressions that tell its
// rows apart as far as they can be told apart at all.
void DecideWindows(Query* query, List* row_key, Decisions* decisions);

}  // namespace live_queries
