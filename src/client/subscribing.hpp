// Beginning a live query: from its text to a subscription that a worker has attached, with its
// first result at hand. Process: client backend.
#pragma once

#include <span>

#include "deliver/local_subscription.hpp"
#include "model/delivery.hpp"
#include "model/identifiers.hpp"
#include "model/seq_id.hpp"
#include "model/strategy.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// What a client asks for.
struct NewLiveQuery {
  SubscriptionId id;
  const char* query;
  List* params;  // String, or nullptr for NULL
  bool with_snapshot;
  Delivery delivery;
  int64 throttle_ms;
  int refresh_ms;  // between two times of the clock, if the query asks it
};

struct Subscribed {
  LocalSubscription* subscription;
  SeqId position;
  Strategy strategy;
  char* columns;  // DescribeResultColumns
};

// Subscribes as the current role and with its settings. Raises what is wrong: with the query
// (query/planner.hpp), the id (42710), the place and time (55000, 25001, 42501, 0A000), with the
// worker, or with room. Nothing is half accepted.
Subscribed Subscribe(const NewLiveQuery& query);

// The same for several: all of them, or none, and their first results show one position. Leaves in
// `subscribed`, which has as many places, the answers in the same order. Errors name the live query
// in their context.
void SubscribeAll(std::span<const NewLiveQuery> queries, Subscribed* subscribed);

// Lets `former` begin anew, with a new snapshot, in its place; it goes on if this transaction rolls
// back. The new one keeps its role, session and settings, whoever calls this.
void Refresh(LocalSubscription* former);

// Lets another one take the place of `former` in the same way, of the same query with `params`. Its
// client keeps what it has, and is told the difference of the two results, behind what `former` has
// still to tell. Raises the same as Subscribe, what client/new_params.hpp raises, and 55000 if its
// client does not have its result.
void SetParams(LocalSubscription* former, List* params);

}  // namespace live_queries
