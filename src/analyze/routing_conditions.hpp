// Splits equality conditions off a filter: what the decoder's routing index finds subscriptions by.
// Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Past it a further equality is cheaper as a plain condition than as a part of each hash.
inline constexpr int kMaxRoutingColumns = 8;

struct RoutingConditions {
  List* conditions;  // OpExpr: Var = Param(n), n from 1
  List* values;      // Const, the n-th beside the n-th condition
  List* quals;       // the rest
};

// Takes every `column = constant` whose operator hashes out of `quals` (implicitly ANDed, about one
// table). If `leakproof_only`, operators that might tell of a row that a security barrier hides
// stay.
RoutingConditions SplitRouting(List* quals, bool leakproof_only);

}  // namespace live_queries
