// live.subscribe, live.subscribe_many, live.refresh and live.set_params. Process: client backend.
#include "client/subscribing.hpp"
#include "model/clock_steps.hpp"
#include "registry/connection.hpp"
#include "sql_api/arguments.hpp"
#include "sql_api/live_query_list.hpp"

extern "C" {
#include "access/xlog.h"
}

extern "C" {
LIVE_QUERIES_FUNCTION(live_queries_subscribe);
LIVE_QUERIES_FUNCTION(live_queries_subscribe_many);
LIVE_QUERIES_FUNCTION(live_queries_refresh);
LIVE_QUERIES_FUNCTION(live_queries_set_params);
}

namespace live_queries {
namespace {

// What names the log that positions are of: another one follows a promotion or a new cluster.
char* NameOfLog() {
  return psprintf(UINT64_FORMAT "-%u", GetSystemIdentifier(), GetWALInsertionTimeLine());
}

// The columns that both functions answer with.
constexpr int kAnswerColumns = 6;

void Answer(const Subscribed& subscribed, Datum* values) {
  const LocalSubscription& subscription = *subscribed.subscription;
  const ConnectionShared* connection = MyConnectionIfAny();
  char digits[kSeqIdDigits];
  values[0] = CStringGetTextDatum(ShownLiveId(subscription.role, connection->connection_id.Load(),
                                              subscription.id, MyDatabaseId));
  values[1] = CStringGetTextDatum(connection->channel);
  values[2] = TextDatum(ToText(subscribed.strategy));
  values[3] = TextDatum(FormatSeqId(subscribed.position, digits));
  values[4] = CStringGetTextDatum(NameOfLog());
  values[5] = CStringGetTextDatum(subscribed.columns);
}

Datum SubscribeCall(FunctionCallInfo call) {
  NewLiveQuery query = {};
  query.id = IdArgument(call, 0);
  query.query = TextArgument(call, 1, "query");
  query.params = TextArrayArgument(call, 2);
  query.with_snapshot = call->args[3].isnull || DatumGetBool(call->args[3].value);
  query.delivery = CheckedDelivery(TextArgument(call, 4, "delivery"));
  if (!call->args[5].isnull)
    query.throttle_ms = CheckedThrottle(*DatumGetIntervalP(call->args[5].value));
  query.refresh_ms = call->args[6].isnull ? kDefaultRefreshMs
                                          : CheckedRefresh(*DatumGetIntervalP(call->args[6].value));
  ResultRows rows(call);
  Datum values[kAnswerColumns];
  const bool nulls[kAnswerColumns] = {};
  Answer(Subscribe(query), values);
  rows.Add(values, nulls);
  return static_cast<Datum>(0);
}

Datum SubscribeManyCall(FunctionCallInfo call) {
  RequireSharedMemory();
  if (call->args[0].isnull)
    ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
            errmsg("%s must not be null", "subscriptions"));
  const std::span<const NewLiveQuery> queries =
      ReadLiveQueries(DatumGetJsonbP(call->args[0].value));
  ResultRows rows(call);
  Subscribed* subscribed = static_cast<Subscribed*>(
      palloc_extended(sizeof(Subscribed) * queries.size(), MCXT_ALLOC_HUGE));
  SubscribeAll(queries, subscribed);
  for (size_t i = 0; i < queries.size(); ++i) {
    Datum values[1 + kAnswerColumns] = {TextDatum(queries[i].id.view())};
    const bool nulls[1 + kAnswerColumns] = {};
    Answer(subscribed[i], values + 1);
    rows.Add(values, nulls);
  }
  return static_cast<Datum>(0);
}

Datum RefreshCall(FunctionCallInfo call) {
  Refresh(SubscriptionArgument(call, 0));
  PG_RETURN_VOID();
}

Datum SetParamsCall(FunctionCallInfo call) {
  LocalSubscription* subscription = SubscriptionArgument(call, 0);
  SetParams(subscription, TextArrayArgument(call, 1));
  PG_RETURN_VOID();
}

}  // namespace
}  // namespace live_queries

Datum live_queries_subscribe(PG_FUNCTION_ARGS) { return live_queries::SubscribeCall(fcinfo); }
Datum live_queries_subscribe_many(PG_FUNCTION_ARGS) {
  return live_queries::SubscribeManyCall(fcinfo);
}
Datum live_queries_refresh(PG_FUNCTION_ARGS) { return live_queries::RefreshCall(fcinfo); }
Datum live_queries_set_params(PG_FUNCTION_ARGS) { return live_queries::SetParamsCall(fcinfo); }
