// The test of IN, ANY and ALL as a condition on what the sub-select reads. Process: client backend,
// evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
}

namespace live_queries {

// The test of `link` as it stands in `body`, its sub-select: with the result columns of that in
// their places, and what is around it one level further up.
Node* TestWithin(const SubLink& link, const Query& body);

}  // namespace live_queries
