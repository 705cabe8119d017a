// Evaluates decoded transactions once readers see them, and publishes what comes of it. Process:
// decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

void PrepareEvaluation(MemoryContext context);

enum class Progress : uint8_t {
  kNothingReady,
  kSome,     // call again
  kBlocked,  // the oldest transaction is not visible to new snapshots yet
};

// Evaluates a group of what is ready. Outside a transaction. An error of a user's expression ends
// the subscriptions it concerns, and the group is to be done again; any other is raised.
Progress EvaluateReady();

// Looks at definitions, and what was frozen, that may have changed, where no transaction is ready
// to be evaluated. `hear`: also if nothing is known to have changed, for others may have told of
// changes.
void CheckDefinitions(bool hear);

}  // namespace live_queries
