// The routing index: which subscriptions of a template want a row with these values. Process:
// decoder.
#pragma once

#include "query/routing_conditions.hpp"
#include "template/template.hpp"

namespace live_queries {

// Prepares the index of a new template, in CurrentMemoryContext. In a transaction.
void PrepareRouting(Template* one);

// Adds a subscription at the route that `route_text` (a list of Const) names.
Subscriber* AddSubscriber(Template* one, const char* route_text);
void RemoveSubscriber(Subscriber* subscriber);
// Lets it have nothing any more, until its client begins anew with another subscriber.
void MuteSubscriber(Subscriber* subscriber);
// Undoes that, where the reset that was the reason did not go out.
void UnmuteSubscriber(Subscriber* subscriber);

// The route of the values in `row` (the template's own columns), or nullptr if nobody wants it.
Route* FindRoute(Template* one, TupleTableSlot* row);

// Forgets the changes that wait in a route, with their memory: there may be very many routes.
void ClearBody(Route* route);

// Appends the subscribers of `route` to `*subscribers`; all those of a template.
void CollectSubscribers(Route* route, List** subscribers);
List* SubscribersOf(Template* one);

// Visits each route.
void ForEachRoute(Template* one, void (*visit)(Route*, void*), void* context);

}  // namespace live_queries
