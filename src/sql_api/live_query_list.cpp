// Goes through the members of each object: each is an argument of live.subscribe, and what is not
// there, or null, has its default. Process: client backend.
#include "sql_api/live_query_list.hpp"

#include "model/clock_steps.hpp"
#include "pg/error_context.hpp"
#include "sql_api/arguments.hpp"

extern "C" {
#include "nodes/value.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
}

namespace live_queries {
namespace {

[[noreturn]] void RaiseNotA(const char* what, const char* kind) {
  ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must be %s", what, kind));
  pg_unreachable();
}

std::string_view StringIn(const JsonbValue& value) {
  return {value.val.string.val, static_cast<size_t>(value.val.string.len)};
}

char* TextOf(const JsonbValue& value, const char* name) {
  if (value.type != jbvString) RaiseNotA(name, "a string");
  return CopyText(StringIn(value));
}

bool BooleanOf(const JsonbValue& value, const char* name) {
  if (value.type != jbvBool) RaiseNotA(name, "true or false");
  return value.val.boolean;
}

const Interval& IntervalOf(const JsonbValue& value, const char* name) {
  const Datum text = CStringGetDatum(TextOf(value, name));
  const Datum type = ObjectIdGetDatum(InvalidOid);
  return *DatumGetIntervalP(DirectFunctionCall3(interval_in, text, type, Int32GetDatum(-1)));
}

// A parameter's text: of a string its characters, of all else how JSON writes it.
Node* ParamOf(JsonbValue* value) {
  if (value->type == jbvNull) return nullptr;
  char* text = nullptr;
  if (value->type == jbvString)
    text = CopyText(StringIn(*value));
  else if (value->type == jbvBool)
    text = pstrdup(value->val.boolean ? "true" : "false");
  else if (value->type == jbvNumeric)
    text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
  else
    text = JsonbToCString(nullptr, value->val.binary.data, value->val.binary.len);
  return reinterpret_cast<Node*>(makeString(text));
}

List* ParamsOf(const JsonbValue& value) {
  if (value.type != jbvBinary || !JsonContainerIsArray(value.val.binary.data) ||
      JsonContainerIsScalar(value.val.binary.data))
    RaiseNotA("params", "an array");
  List* params = NIL;
  JsonbContainer* array = value.val.binary.data;
  for (uint32 i = 0; i < JsonContainerSize(array); ++i)
    params = lappend(params, ParamOf(getIthJsonbValueFromContainer(array, i)));
  return params;
}

void SetMember(NewLiveQuery* query, std::string_view name, const JsonbValue& value) {
  if (name == "subscription_id")
    query->id = ParseId(TextOf(value, "subscription_id"));
  else if (name == "query")
    query->query = TextOf(value, "query");
  else if (name == "params")
    query->params = ParamsOf(value);
  else if (name == "snapshot")
    query->with_snapshot = BooleanOf(value, "snapshot");
  else if (name == "delivery")
    query->delivery = CheckedDelivery(TextOf(value, "delivery"));
  else if (name == "throttle")
    query->throttle_ms = CheckedThrottle(IntervalOf(value, "throttle"));
  else if (name == "refresh_every")
    query->refresh_ms = CheckedRefresh(IntervalOf(value, "refresh_every"));
}

bool IsMember(std::string_view name) {
  constexpr std::string_view kMembers[] = {
      "subscription_id", "query", "params", "snapshot", "delivery", "throttle", "refresh_every"};
  for (const std::string_view member : kMembers)
    if (name == member) return true;
  return false;
}

[[noreturn]] void RaiseUnknownMember(std::string_view name) {
  ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
          errmsg("a live query has no \"%s\"", CopyText(name)),
          errhint("It can have subscription_id, query, params, snapshot, delivery, throttle and "
                  "refresh_every."));
  pg_unreachable();
}

[[noreturn]] void RaiseMissing(const char* name) {
  ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name));
  pg_unreachable();
}

NewLiveQuery ReadLiveQuery(const JsonbValue& element) {
  if (element.type != jbvBinary || !JsonContainerIsObject(element.val.binary.data))
    RaiseNotA("a live query", "an object");
  NewLiveQuery query = {};
  query.with_snapshot = true;
  query.delivery = Delivery::kNotify;
  query.refresh_ms = kDefaultRefreshMs;
  JsonbIterator* iterator = JsonbIteratorInit(element.val.binary.data);
  JsonbValue member;
  for (;;) {
    const JsonbIteratorToken token = JsonbIteratorNext(&iterator, &member, true);
    if (token == WJB_DONE) break;
    if (token != WJB_KEY) continue;
    const std::string_view name = StringIn(member);
    if (!IsMember(name)) RaiseUnknownMember(name);
    JsonbValue value;
    (void)JsonbIteratorNext(&iterator, &value, true);
    if (value.type != jbvNull) SetMember(&query, name, value);
  }
  if (query.id.view().empty()) RaiseMissing("subscription_id");
  if (query.query == nullptr) RaiseMissing("query");
  return query;
}

void NameElement(void* index) {
  errcontext("subscriptions[%u]", *static_cast<const uint32*>(index));
}

}  // namespace

std::span<const NewLiveQuery> ReadLiveQueries(const Jsonb* subscriptions) {
  if (!JB_ROOT_IS_ARRAY(subscriptions) || JB_ROOT_IS_SCALAR(subscriptions))
    RaiseNotA("subscriptions", "an array");
  JsonbContainer* array = const_cast<JsonbContainer*>(&subscriptions->root);
  const uint32 count = JsonContainerSize(array);
  NewLiveQuery* queries =
      static_cast<NewLiveQuery*>(palloc_extended(sizeof(NewLiveQuery) * count, MCXT_ALLOC_HUGE));
  for (uint32 i = 0; i < count; ++i)
    WithErrorContext(NameElement, &i,
                     [&] { queries[i] = ReadLiveQuery(*getIthJsonbValueFromContainer(array, i)); });
  return {queries, count};
}

}  // namespace live_queries
