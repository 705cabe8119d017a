// Expressions without columns that are not IMMUTABLE: they are replaced by their values, so that
// routing sees constants. A step of the analysis (analyzed_query.cpp). Process: client backend,
// decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Lists of (String: the expression as a node tree, Const).
struct FrozenValues {
  bool kept_only;  // in: this is not the client's session, whose values must be in `session`
  bool unknown;    // out: one was not, and counts as NULL
  List* session;   // in and out: what of the client's session was read; kept
  List* catalogs;  // out: what may be another value once any catalog has changed
  List* held;      // in: `catalogs` of an earlier call, for what is not to be evaluated again
  List* of_roles;  // out: int, hashes of the expressions that were evaluated and are in neither
};

// `tree`, of expressions or a query, with each such part replaced by its value, evaluated as the
// current role, or kept. It is as Simplify leaves it.
Node* Freeze(Node* tree, FrozenValues* frozen);

// `catalogs`, of an earlier Freeze, with the values that evaluating them gives now.
List* EvaluateAgain(List* catalogs);

}  // namespace live_queries
