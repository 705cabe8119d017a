// Which of several values that are equal but not the same, 1.0 and 1.00, stands for a group: the
// least by their texts. Process: client backend, evaluator.
#pragma once

#include "delta/decisions.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Decides it for all groups of one level; changes `query`.
void DecideGroups(Query* query, Decisions* decisions);

// What stands for the groups of a level for which that is decided: expressions.
List* ShownGroups(const Query& query);

}  // namespace live_queries
