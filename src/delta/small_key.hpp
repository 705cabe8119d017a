// The key of joined rows made small: an entry whose row is the only one for those of others adds
// nothing to it, as a customer to his orders. Process: client backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Of `key`, columns of what `query` joins which together name a row, those that do so alone.
List* SmallKey(const Query* query, List* key);

}  // namespace live_queries
