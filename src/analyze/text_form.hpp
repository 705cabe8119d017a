// A value as the text that its output function gives, or what its input function makes of a text.
// Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/primnodes.h"
}

namespace live_queries {

// `value`, of which one side is a text, as a `type` of that collation.
inline Expr* ThroughText(Expr* value, Oid type, Oid collation) {
  CoerceViaIO* coercion = makeNode(CoerceViaIO);
  coercion->arg = value;
  coercion->resulttype = type;
  coercion->resultcollid = collation;
  coercion->coerceformat = COERCE_EXPLICIT_CAST;
  coercion->location = -1;
  return reinterpret_cast<Expr*>(coercion);
}

}  // namespace live_queries
