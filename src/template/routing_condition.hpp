// One routing condition, prepared to be asked of the values of a row for one route after the other.
// Used by the routing index. Process: decoder.
#pragma once

#include <span>

#include "analyze/routing_choice.hpp"
#include "analyze/value_keys.hpp"
#include "pg/postgres.hpp"
#include "template/order_key.hpp"

extern "C" {
#include "fmgr.h"
}

namespace live_queries {

struct RoutingCondition {
  RoutingKind kind;
  StrategyNumber strategy;  // of a bound
  AttrNumber column;
  Oid type;  // that the column is compared as
  bool by_value;
  int16 length;
  char alignment;
  FmgrInfo holds;  // its operator, on one value and one constant or element
  FmgrInfo hash;   // of the column's values, of equalities and lists; or of its keys
  FmgrInfo same_key;
  FmgrInfo order;  // of bounds and prefixes: below, at or above 0
  OrderKey order_key;
  Oid collation;
  Oid order_collation;
  Oid hash_collation;
  KeyType keys;
  MemoryContext scratch;  // for keys; nullptr: it asks for none
};

// In CurrentMemoryContext. In a transaction. `condition` has to stay.
void PrepareRoutingCondition(RoutingCondition* prepared, Node* condition);

// What a route is found by beside the constant of a condition: the elements of a list that are not
// NULL, or the keys that are asked for, some of them (analyze/value_keys.hpp).
using RouteElements = std::span<Datum>;

// Copies a constant to CurrentMemoryContext, and leaves its elements in `*elements`.
Datum CopyConstant(const RoutingCondition& condition, Datum constant, RouteElements* elements);
// Frees both. Never ereports.
void FreeConstant(const RoutingCondition& condition, Datum constant, RouteElements elements);

// Whether two constants are the same, byte for byte; and their hash.
bool SameConstant(const RoutingCondition& condition, Datum a, Datum b);
uint32 HashConstant(const RoutingCondition& condition, Datum constant);

// What follows may run code of users, for types of theirs.

// Of a value of the column, an element or a key.
uint32 HashValue(RoutingCondition* condition, Datum value);
// Whether two elements or keys are the same.
bool SameElement(RoutingCondition* condition, Datum a, Datum b);
// Of values of several conditions: `hash` is that of the ones before, 0 of none.
uint32 AddToHash(uint32 hash, RoutingCondition* condition, Datum value);
// Whether the operator says so; not if it says NULL.
bool Holds(RoutingCondition* condition, Datum value, Datum constant);
// Of a list: whether it holds of an element.
bool HoldsOfAny(RoutingCondition* condition, Datum value, RouteElements elements);
int CompareValues(RoutingCondition* condition, Datum a, Datum b);

// The keys that a value has, perhaps several times. They last until FreeKeysOf, which is for them
// and all that was needed to find them: a large value would stay here otherwise.
RouteElements KeysOf(const RoutingCondition& condition, Datum value);
void FreeKeysOf(const RoutingCondition& condition);

// `value` as the operators read it, so that this is done once for all routes.
Datum ReadyToCompare(const RoutingCondition& condition, Datum value);

}  // namespace live_queries
