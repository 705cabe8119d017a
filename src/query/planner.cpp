// Asks the strategies in turn; what none of them can do is an error, with the reason. Process:
// client backend, decoder.
#include "query/planner.hpp"

#include "analyze/analyzed_query.hpp"
#include "analyze/type_shapes.hpp"
#include "pg/settings.hpp"
#include "query/delta_strategy.hpp"
#include "query/stream_plan.hpp"

namespace live_queries {

StrategyChoice ChoiceOfSession() {
  return evaluators > 0 ? StrategyChoice::kBest : StrategyChoice::kStreamAlone;
}

Plan MakePlan(const char* text, List* params, const FrozenValues& frozen, StrategyChoice choice) {
  const AnalyzedQuery query = AnalyzeQuery(text, params, frozen);
  Plan stream = {};
  std::optional<WhyNot> why_not_stream = PlanStream(query, &stream);
  if (!why_not_stream && (stream.untold == nullptr || choice != StrategyChoice::kBest))
    return stream;
  if (choice == StrategyChoice::kStreamAlone) {
    if (why_not_stream->hint == nullptr)
      why_not_stream->hint =
          "Queries on more than the rows of one table need live_queries.evaluators to be at least "
          "1.";
    Raise(*why_not_stream);
  }
  Plan plan = {};
  PlanDeltaStrategy(query, &plan);
  if (!why_not_stream && plan.strategy == Strategy::kRefresh) return stream;
  plan.why_not_stream = why_not_stream ? why_not_stream->message : stream.untold;
  return plan;
}

void DisregardAdditions(Plan* plan, const QuerySpec& former) {
  if (plan->strategy == Strategy::kStream && former.query == nullptr)
    KeepColumns(&plan->spec, former);
  QueryDependencies& now = plan->spec.dependencies;
  const QueryDependencies& then = former.dependencies;
  // The subscriber's choice, and what it is for: an index that has come since is not needed.
  if (plan->spec.refresh_ms != 0 && former.refresh_ms != 0)
    plan->spec.refresh_ms = former.refresh_ms;
  plan->spec.alarm = plan->spec.alarm && former.alarm;
  // Of what has changed in the expressions, they tell themselves.
  if (IncludesFunctions(now.called, then.called)) now.called = then.called;
  if (list_difference_int(then.inlined, now.inlined) == NIL) now.inlined = then.inlined;
  if (list_difference_oid(then.types, now.types) == NIL) now.types = then.types;
  if (ShapesHold(then.shapes, now.shapes)) now.shapes = then.shapes;
}

}  // namespace live_queries
