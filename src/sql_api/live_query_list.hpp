// What live.subscribe_many is given: a JSON array with an object for each live query. Process:
// client backend.
#pragma once

#include <span>

#include "client/subscribing.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "utils/jsonb.h"
}

namespace live_queries {

// The live queries of such an array, in CurrentMemoryContext. Raises 22004 or 22023, with the
// element in the context.
std::span<const NewLiveQuery> ReadLiveQueries(const Jsonb* subscriptions);

}  // namespace live_queries
