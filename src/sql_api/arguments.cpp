// Reads arguments, raises what is wrong with them with a fitting SQLSTATE, and fills result sets.
// Process: client backend.
#include "sql_api/arguments.hpp"

#include <cmath>

#include "deliver/permission.hpp"
#include "model/clock_steps.hpp"
#include "pg/encoding.hpp"
#include "registry/shared_memory.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/value.h"
#include "utils/array.h"
#include "utils/timestamp.h"
}

namespace live_queries {

constexpr int64 kMostThrottleMs = 24 * 3600 * 1000;

char* TextArgument(FunctionCallInfo call, int index, const char* name) {
  if (call->args[index].isnull)
    ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name));
  return text_to_cstring(DatumGetTextPP(call->args[index].value));
}

SubscriptionId ParseId(const char* text) {
  const auto id = SubscriptionId::Parse(text);
  if (!id)
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("subscription_id must be 1 to %zu bytes long", kMaxSubscriptionIdBytes),
            errdetail("It has %zu bytes.", strlen(text)));
  return *id;
}

SubscriptionId IdArgument(FunctionCallInfo call, int index) {
  RequireSharedMemory();
  return ParseId(TextArgument(call, index, "subscription_id"));
}

[[noreturn]] static void RaiseUnknown(const SubscriptionId& id) {
  ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
          errmsg("this connection has no live query \"%s\"", CopyText(id.view())),
          errhint("Live queries belong to the connection that called live.subscribe. A pooler must "
                  "give each session one connection (PgBouncer: pool_mode = session)."));
  pg_unreachable();
}

LocalSubscription* SubscriptionArgument(FunctionCallInfo call, int index) {
  const SubscriptionId id = IdArgument(call, index);
  LocalSubscription* subscription = FindLocal(id);
  if (subscription == nullptr) RaiseUnknown(id);
  RequireMayAct(*subscription);
  return subscription;
}

List* TextArrayArgument(FunctionCallInfo call, int index) {
  if (call->args[index].isnull) return NIL;
  ArrayType* array = DatumGetArrayTypeP(call->args[index].value);
  if (ARR_NDIM(array) > 1)
    ereport(ERROR, errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
            errmsg("params must be a one-dimensional array"));
  Datum* elements;
  bool* nulls;
  int count;
  deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
  List* list = NIL;
  for (int i = 0; i < count; ++i)
    list = lappend(list, nulls[i] ? nullptr : makeString(TextDatumGetCString(elements[i])));
  return list;
}

// Negative ones count as 0.
static int64 Milliseconds(const Interval& interval) {
  const double days = interval.day + interval.month * static_cast<double>(DAYS_PER_MONTH);
  const double ms = static_cast<double>(interval.time) / 1000.0 + days * 86400000.0;
  if (ms <= 0) return 0;
  return ms > 1e15 ? static_cast<int64>(1e15) : static_cast<int64>(std::llround(ms));
}

int64 IntervalArgument(FunctionCallInfo call, int index, int64 if_null) {
  if (call->args[index].isnull) return if_null;
  return Milliseconds(*DatumGetIntervalP(call->args[index].value));
}

Delivery CheckedDelivery(const char* text) {
  const auto delivery = ParseDelivery(text);
  if (!delivery)
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("invalid delivery: \"%s\"", text), errhint("It is 'notify' or 'poll'."));
  return *delivery;
}

int64 CheckedThrottle(const Interval& throttle) {
  Interval none = {};
  const int64 ms = Milliseconds(throttle);
  const Datum is_negative =
      DirectFunctionCall2(interval_lt, IntervalPGetDatum(&throttle), IntervalPGetDatum(&none));
  if (ms > kMostThrottleMs || DatumGetBool(is_negative))
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("throttle must be between 0 and 1 day"));
  return ms;
}

int CheckedRefresh(const Interval& refresh_every) {
  const int64 ms = Milliseconds(refresh_every);
  if (ms < kShortestRefreshMs || ms > kLongestRefreshMs)
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("refresh_every must be at least 10 milliseconds and at most a day"));
  return static_cast<int>(ms);
}

const char* ShownLiveId(Oid role, uint64_t connection_id, const SubscriptionId& id, Oid database) {
  const char* user = GetUserNameFromId(role, true);
  if (user == nullptr) return nullptr;
  char text[kMaxLiveIdBytes];
  const size_t length = FormatLiveId({user, {connection_id}, id}, text);
  return ReadableText(CopyText({text, length}), EncodingOfDatabase(database));
}

ResultRows::ResultRows(FunctionCallInfo call) {
  InitMaterializedSRF(call, 0);
  info_ = reinterpret_cast<ReturnSetInfo*>(call->resultinfo);
}

void ResultRows::Add(const Datum* values, const bool* nulls) {
  tuplestore_putvalues(info_->setResult, info_->setDesc, const_cast<Datum*>(values),
                       const_cast<bool*>(nulls));
}

}  // namespace live_queries
