// The routing index: which route of a template wants a row with these values. Process: decoder.
#pragma once

#include "query/routing_conditions.hpp"
#include "template/template.hpp"

extern "C" {
#include "executor/tuptable.h"
}

namespace live_queries {

// Prepares the index of a new template, in CurrentMemoryContext. In a transaction.
void PrepareRouting(Template* one);

// The route that `route_text` (a list of Const) names, made if need be. In a transaction.
Route* FindOrAddRoute(Template* one, const char* route_text);
// Frees a route, which has no subscribers.
void FreeRoute(Route* route);
// Counts one that begins to listen (1), or ceases to (-1).
void CountListening(Route* route, int change);

// The route of the values in `row` (the template's own columns), or nullptr if nobody wants it.
Route* FindRoute(Template* one, TupleTableSlot* row);

// Forgets the changes that wait in a route, with their memory: there may be very many routes.
void ClearBody(Route* route);

// Visits each route.
void ForEachRoute(Template* one, void (*visit)(Route*, void*), void* context);

}  // namespace live_queries
