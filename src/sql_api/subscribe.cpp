// live.subscribe, live.refresh and live.set_params. Process: client backend.
#include "client/subscribing.hpp"
#include "model/clock_steps.hpp"
#include "registry/connection.hpp"
#include "sql_api/arguments.hpp"

extern "C" {
#include "access/xlog.h"
}

extern "C" {
LIVE_QUERIES_FUNCTION(live_queries_subscribe);
LIVE_QUERIES_FUNCTION(live_queries_refresh);
LIVE_QUERIES_FUNCTION(live_queries_set_params);
}

namespace live_queries {
namespace {

constexpr int64 kMostThrottleMs = 24 * 3600 * 1000;

Delivery ParseDeliveryArgument(const char* text) {
  const auto delivery = ParseDelivery(text);
  if (!delivery)
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("invalid delivery: \"%s\"", text), errhint("It is 'notify' or 'poll'."));
  return *delivery;
}

int64 ThrottleArgument(FunctionCallInfo call, int index) {
  if (call->args[index].isnull) return 0;
  Interval none = {};
  const int64 ms = IntervalArgument(call, index, 0);
  const Datum interval = call->args[index].value;
  const Datum is_negative = DirectFunctionCall2(interval_lt, interval, IntervalPGetDatum(&none));
  if (ms > kMostThrottleMs || DatumGetBool(is_negative))
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("throttle must be between 0 and 1 day"));
  return ms;
}

int RefreshArgument(FunctionCallInfo call, int index) {
  const int64 ms = IntervalArgument(call, index, kDefaultRefreshMs);
  if (ms < kShortestRefreshMs || ms > kLongestRefreshMs)
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("refresh_every must be at least 10 milliseconds and at most a day"));
  return static_cast<int>(ms);
}

// What names the log that positions are of: another one follows a promotion or a new cluster.
char* NameOfLog() {
  return psprintf(UINT64_FORMAT "-%u", GetSystemIdentifier(), GetWALInsertionTimeLine());
}

Datum SubscribeCall(FunctionCallInfo call) {
  const SubscriptionId id = IdArgument(call, 0);
  const char* query = TextArgument(call, 1, "query");
  List* params = TextArrayArgument(call, 2);
  const bool with_snapshot = call->args[3].isnull || DatumGetBool(call->args[3].value);
  const Delivery delivery = ParseDeliveryArgument(TextArgument(call, 4, "delivery"));
  const int64 throttle_ms = ThrottleArgument(call, 5);
  const int refresh_ms = RefreshArgument(call, 6);
  ResultRows rows(call);
  const Subscribed subscribed =
      Subscribe(id, query, params, with_snapshot, delivery, throttle_ms, refresh_ms);
  const ConnectionShared* connection = MyConnectionIfAny();
  char digits[kSeqIdDigits];
  Datum values[6] = {
      CStringGetTextDatum(ShownLiveId(subscribed.subscription->role,
                                      connection->connection_id.Load(), id, MyDatabaseId)),
      CStringGetTextDatum(connection->channel),
      TextDatum(ToText(subscribed.strategy)),
      TextDatum(FormatSeqId(subscribed.position, digits)),
      CStringGetTextDatum(NameOfLog()),
      CStringGetTextDatum(subscribed.columns)};
  const bool nulls[6] = {};
  rows.Add(values, nulls);
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
Datum live_queries_refresh(PG_FUNCTION_ARGS) { return live_queries::RefreshCall(fcinfo); }
Datum live_queries_set_params(PG_FUNCTION_ARGS) { return live_queries::SetParamsCall(fcinfo); }
