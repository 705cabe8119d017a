// Evaluates decoded transactions once readers see them, and publishes what comes of it. Process:
// decoder.
#pragma once

#include "pg/postgres.hpp"
#include "registry/database.hpp"

namespace live_queries {

void PrepareEvaluation(MemoryContext context);

// Evaluates all that is ready. False if the oldest transaction is not visible to new snapshots yet.
// Outside a transaction. An error of a user's expression ends the subscriptions it concerns; any
// other is raised.
bool EvaluateReady(DatabaseShared* database);

// Looks at definitions that may have changed, where no transaction is ready to be evaluated.
void CheckDefinitions(DatabaseShared* database);

}  // namespace live_queries
