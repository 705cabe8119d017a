// What a routing index is made of, and what it keeps of a route. For routing_index.cpp alone, which
// has what is done with it. Process: decoder.
#pragma once

#include "analyze/routing_choice.hpp"
#include "model/interval_index.hpp"
#include "template/route_places.hpp"
#include "template/routing_condition.hpp"
#include "template/template.hpp"

namespace live_queries {

struct RouteInterval : Interval<Datum> {
  Route* route;
};

struct RouteEntry {
  Route* next;  // of the template's
  Route** link;
  RouteElements* elements;  // beside Route::values; nullptr: no condition has any
  RoutePlace same;          // by all constants
  RoutePlace* places;       // by what is hashed: one for each element; nullptr: `same` is it
  int place_count;
  uint32 considered_in;     // the search by keys that came to it last
  RouteInterval* interval;  // nullptr: the index has none
};

struct RoutingIndex {
  RoutingIndexKind kind;
  int count;  // of conditions, beside spec.routing_conditions
  RoutingCondition* conditions;
  // Those that the index is made of: equalities, a list or what asks for keys, a prefix, and the
  // two bounds of a column.
  int equality_count;
  RoutingCondition* equalities[kMaxRoutingColumns];
  RoutingCondition* list;    // or the keys; nullptr: none
  RoutingCondition* prefix;  // likewise
  RoutingCondition* low;     // nullptr: unbounded
  RoutingCondition* high;
  int checked_count;
  RoutingCondition* checked[kMaxRoutingColumns];
  bool has_elements;
  bool may_fail;             // a pattern, or what is asked of a jsonb
  bool by_equalities_alone;  // so that equal values are one route
  RoutePlaces by_values;
  RoutePlaces by_constants;  // not if by_equalities_alone
  IntervalIndex<RouteInterval> intervals;
  Route* first;
  uint32 searches;  // by keys
};

inline int NumberOf(const RoutingIndex* index, const RoutingCondition* condition) {
  return static_cast<int>(condition - index->conditions);
}

inline bool IsHashed(const RoutingIndex& index) {
  return index.kind == RoutingIndexKind::kHash || index.kind == RoutingIndexKind::kKeys;
}

inline RouteElements ElementsAt(const Route& route, int number) {
  return route.entry->elements == nullptr ? RouteElements() : route.entry->elements[number];
}

// Where a route stands in by_values.
inline std::span<RoutePlace> ValuePlaces(const RoutingIndex* index, RouteEntry* entry) {
  if (index->by_equalities_alone) return {&entry->same, 1};
  return {entry->places, static_cast<size_t>(entry->place_count)};
}

// Calls no operator.
inline void RemoveInterval(RoutingIndex* index, RouteEntry* entry) {
  if (entry->interval == nullptr) return;
  index->intervals.Remove(entry->interval, [](IntervalBlock<Datum>* block) { pfree(block); });
}

}  // namespace live_queries
