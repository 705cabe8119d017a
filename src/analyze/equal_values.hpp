// Whether values that are equal are the same: 1.0 and 1.00 are equal and not the same. Process:
// client backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/primnodes.h"
}

namespace live_queries {

// Of a type, by its own equality.
bool EqualMeansSame(Oid type, int32 typmod, Oid collation);

// Of what an expression can give.
bool EqualMeansSame(const Expr* expression);

// Whether the values that an expression can give have the same bytes where they are equal. Those
// that are made of others may have not.
bool HaveOneImage(const Expr* value);

}  // namespace live_queries
