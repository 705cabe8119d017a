// `range @> column` and `column <@ range` of a constant range, as the bounds that the server makes
// of it from version 17 on. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/pg_list.h"
}

namespace live_queries {

// `quals` (implicitly ANDed) with those conditions in place of such a one.
List* RangesAsBounds(List* quals);

}  // namespace live_queries
