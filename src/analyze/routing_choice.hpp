// Which index finds the routes of a template, by its routing conditions alone: the worker makes it,
// live.explain tells it. Process: client backend, decoder.
#pragma once

#include "analyze/routing_conditions.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "access/stratnum.h"
#include "nodes/primnodes.h"
}

namespace live_queries {

enum class RoutingIndexKind : uint8_t {
  kNone,       // all routes are looked at; without conditions there is one
  kHash,       // of the values of equalities, and of one element of a list
  kKeys,       // of the keys that one array or jsonb is asked for
  kIntervals,  // between the bounds of one column, or of the texts that begin alike
};

// The numbers of conditions, from 0.
struct RoutingChoice {
  RoutingIndexKind kind;
  List* indexed;  // ints: those that the index is made of
  List* checked;  // ints: those that are asked for each route that it finds. Keys and a prefix are
                  // in both
};

// The cheapest for such conditions as TakeRouting makes.
RoutingChoice ChooseRoutingIndex(List* conditions);

RoutingKind KindOf(const Node* condition);
// What is compared with the constant: a column, perhaps as another type of the same bytes.
Node* ComparedColumn(const Node* condition);
const Var* RoutingColumn(const Node* condition);
Oid CollationOf(const Node* condition);
// Of a bound: that of <, <=, > or >=.
StrategyNumber StrategyOf(const Node* condition);

inline bool IsLowBound(StrategyNumber strategy) {
  return strategy == BTGreaterStrategyNumber || strategy == BTGreaterEqualStrategyNumber;
}

}  // namespace live_queries
