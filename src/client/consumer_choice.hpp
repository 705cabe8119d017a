// Which consumer a new live query of this connection is of. Process: client backend.
#pragma once

#include "query/plan.hpp"

namespace live_queries {

// `decoder`: the one of a stream.
int ConsumerFor(const Plan& plan, int decoder);

}  // namespace live_queries
