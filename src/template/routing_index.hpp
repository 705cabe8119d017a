// The routing index: which route of a template wants a row with these values. Filled by those who
// join and leave routes, asked for each row. Process: decoder.
#pragma once

#include "template/route_set.hpp"
#include "template/template.hpp"

extern "C" {
#include "executor/tuptable.h"
}

namespace live_queries {

// In CurrentMemoryContext, that of a new template. In a transaction.
RoutingIndex* MakeRoutingIndex(List* routing_conditions);

// The route that `route_text` (a list of Const) names, made if need be. In a transaction.
Route* FindOrAddRoute(Template* common, const char* route_text);
// Frees a route, which has no subscribers.
void FreeRoute(Route* route);
// Counts one that begins to listen (1), or ceases to (-1).
void CountListening(Route* route, int change);

// Leaves in `*found` those that want a row with the values of `row` (the template's own columns),
// and that anybody listens to. Within a guard: operators of users may run.
void FindRoutes(RoutingIndex* index, TupleTableSlot* row, RouteSet* found);
// The same of the values of the routing conditions' columns, in the order of these.
void FindRoutes(RoutingIndex* index, const Datum* values, const bool* nulls, RouteSet* found);

// What the hash of the index is made of: RoutingConditions, in the order of AddToHash;
// NIL: it is none. In CurrentMemoryContext.
List* HashedConditions(const RoutingIndex* index);
// Visits the hashes of what the routes want in these; one may come several times.
void ForEachHash(const RoutingIndex* index, void (*visit)(uint32, void*), void* context);

// Forgets the changes that wait in a route, with their memory: there may be very many routes.
void ClearBody(Route* route);

// Visits each route.
void ForEachRoute(Template* common, void (*visit)(Route*, void*), void* context);

}  // namespace live_queries
