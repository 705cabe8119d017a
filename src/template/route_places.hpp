// A hash table of routes, each of which may stand at several places of it. Used by the routing
// index. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "utils/hsearch.h"
}

namespace live_queries {

struct Route;

// Where one route stands. It belongs to that.
struct RoutePlace {
  RoutePlace* next;   // of the same hash
  RoutePlace** link;  // what leads to it
  Route* route;
  Datum element;  // of the list that the table is about, if there is one
  uint32 hash;
};

class RoutePlaces {
 public:
  // In CurrentMemoryContext.
  void Prepare();

  // Makes room for a place of that hash. May ereport out of memory; nothing else here does.
  void Reserve(uint32 hash);
  void Add(RoutePlace* place);
  void Remove(RoutePlace* place);
  // The first of those of that hash; nullptr: none.
  RoutePlace* Find(uint32 hash) const;

 private:
  HTAB* buckets_;
};

}  // namespace live_queries
