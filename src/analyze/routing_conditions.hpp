// Splits comparisons of a column with a constant off a filter: what the decoder finds subscriptions
// by, so that those that differ in these constants share a template. Process: client backend,
// decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Past it a further one is cheaper as a plain condition than as a part of each hash.
inline constexpr int kMaxRoutingColumns = 8;

// A longer list stays a plain condition.
inline constexpr int kMaxRoutingElements = 1000;

enum class RoutingKind : uint8_t {
  kEquality,  // OpExpr: column = $n, whose operator hashes
  kList,      // ScalarArrayOpExpr: column = ANY ($n), likewise; IN is the same, and so is an OR of
              // such conditions and equalities on one column
  kKeys,    // OpExpr: column @> $n, && $n, ? $n, ?| $n or ?& $n, of an array or a jsonb, where that
            // asks for a key; $n = ANY (column) is column @> ARRAY[$n]
  kPrefix,  // OpExpr: column LIKE $n or ^@ $n, where that asks the text for a beginning
  kBound,   // OpExpr: column < $n, <=, > or >=, of a B-tree's order
};

// Those that ask the least first: the order in which they are taken.
inline constexpr RoutingKind kRoutingKinds[] = {RoutingKind::kEquality, RoutingKind::kList,
                                                RoutingKind::kKeys, RoutingKind::kPrefix,
                                                RoutingKind::kBound};

struct RoutingConditions {
  List* conditions;  // of the kinds above, n from 1
  List* values;      // Const, not NULL: the n-th beside the n-th condition
  List* quals;       // the rest
};

// Takes every `column = constant` whose operator hashes out of `quals` (implicitly ANDed, about one
// table). If `leakproof_only`, operators that might tell of a row that a security barrier hides
// stay.
RoutingConditions SplitRouting(List* quals, bool leakproof_only);

// Takes those of `kind` out of `quals` likewise, adds them to `*routing`, up to kMaxRoutingColumns
// of all kinds, and returns the rest. The operators are strict.
List* TakeRouting(RoutingKind kind, List* quals, bool leakproof_only, RoutingConditions* routing);

}  // namespace live_queries
