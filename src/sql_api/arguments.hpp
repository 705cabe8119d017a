// Arguments and results of the SQL functions, for the other files of this folder: reads and checks
// what a client has given, and returns rows. Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "model/delivery.hpp"
#include "model/identifiers.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "funcapi.h"
#include "utils/tuplestore.h"
}

namespace live_queries {

// The subscription id that is meant. Raises 22023.
SubscriptionId ParseId(const char* text);

// That at argument `index`. Raises 22004 or 22023.
SubscriptionId IdArgument(FunctionCallInfo call, int index);

// This connection's subscription of that id. Raises 42704 if there is none, 42501 if the current
// role may not act on it.
LocalSubscription* SubscriptionArgument(FunctionCallInfo call, int index);

// A text argument that must not be NULL, in CurrentMemoryContext.
char* TextArgument(FunctionCallInfo call, int index, const char* name);

// A text[] argument as a list of String, nullptr for NULL elements.
List* TextArrayArgument(FunctionCallInfo call, int index);

// Milliseconds of an interval argument; negative ones count as 0. `if_null` where it is NULL.
int64 IntervalArgument(FunctionCallInfo call, int index, int64 if_null);

// Options of live.subscribe, the intervals in milliseconds. Raise 22023.
Delivery CheckedDelivery(const char* text);
int64 CheckedThrottle(const Interval& throttle);
int CheckedRefresh(const Interval& refresh_every);

// What identifies a subscription in the whole cluster, as it is shown here; nullptr if its role was
// dropped. The text is one of its database's.
const char* ShownLiveId(Oid role, uint64_t connection_id, const SubscriptionId& id, Oid database);

// A set-returning function's result rows.
class ResultRows {
 public:
  explicit ResultRows(FunctionCallInfo call);
  void Add(const Datum* values, const bool* nulls);

 private:
  ReturnSetInfo* info_;
};

inline Datum TextDatum(std::string_view text) {
  return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

}  // namespace live_queries
