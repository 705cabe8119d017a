// By the strategy, what the connection has already, and how long evaluations take. Process: client
// backend.
#include "client/consumer_choice.hpp"

#include <algorithm>

#include "deliver/local_subscription.hpp"
#include "pg/compat.hpp"
#include "pg/settings.hpp"
#include "registry/database.hpp"

extern "C" {
#include "storage/proc.h"
}

namespace live_queries {
namespace {

// A connection has one evaluator for all: the batches of several would end at different positions,
// and it shows one point in time.
int EvaluatorOfConnection() {
  // Also of one that is over: it may have something to tell yet.
  for (IndexSet consumers = ConsumersOfLocal(); !consumers.empty();) {
    const int consumer = consumers.TakeLast();
    if (KindOf(consumer) == ConsumerKind::kRefresher) return LeaderOf(consumer);
    if (KindOf(consumer) == ConsumerKind::kEvaluator) return consumer;
  }
  return kFirstEvaluator + ProcIndex(MyProc) % std::max(evaluators, 1);
}

// Whole queries, and what takes as long to evaluate, so that nobody waits for them but who has one.
// Of those that ask the clock all show one time, so none of them is there.
bool IsEvaluatedApart(const Plan& plan, int refresher) {
  if (plan.spec.refresh_ms != 0) return false;
  if (plan.strategy == Strategy::kRefresh) return true;
  const DatabaseShared& database = *FindDatabase(MyDatabaseId);
  return HasCostlyShapes(database.costly) && IsCostly(database.costly, SpecToText(plan.spec)) &&
         !FailsToRun(database.consumers[refresher]);
}

}  // namespace

int ConsumerFor(const Plan& plan, int decoder) {
  if (plan.strategy == Strategy::kStream) return decoder;
  const int evaluator = EvaluatorOfConnection();
  const int refresher = RefresherOf(evaluator);
  return IsEvaluatedApart(plan, refresher) ? refresher : evaluator;
}

}  // namespace live_queries
