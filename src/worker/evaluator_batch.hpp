// A batch of an evaluator: from the error of one template to what is published. Called by
// evaluator.cpp. Process: evaluator.
#pragma once

#include "evaluate/position_snapshot.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// All that batches need lives below `context`.
void PrepareBatches(MemoryContext context);

// Runs the batch from `before` to `after`, and publishes what comes of it. The pending transactions
// up to there are it; `unknown`: some are missing. An error of a query ends the subscriptions it
// concerns, and the batch is done again without them; any other is raised. Returns how long that
// took, in microseconds, but for waiting until it could begin.
int64 RunBatch(const PositionSnapshot& before, const PositionSnapshot& after, bool unknown);

// Looks at what may have changed without a batch.
void CheckWithoutBatch();

}  // namespace live_queries
