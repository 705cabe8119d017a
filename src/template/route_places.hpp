// The routes of a template by a hash, each of which may stand at several places. As long as there
// are few, they are a list: most templates of roles have one, and a table takes 8 kB. Used by the
// routing index. Process: decoder.
#pragma once

#include <span>

#include "pg/postgres.hpp"
#include "template/bucket_table.hpp"

namespace live_queries {

struct Route;

// Where one route stands. It belongs to that.
struct RoutePlace {
  RoutePlace* next;   // in the bucket of its hash; of a few, in the list of all
  RoutePlace** link;  // what leads to it
  Route* route;
  Datum element;  // of the list that the table is about, if there is one
  uint32 hash;
};

class RoutePlaces {
 public:
  // In CurrentMemoryContext.
  void Prepare();

  // Makes room for these. May ereport out of memory; nothing else here does.
  void Reserve(std::span<const RoutePlace> places);
  void Add(RoutePlace* place);
  void Remove(RoutePlace* place);
  // The first of those of that hash; nullptr: none.
  RoutePlace* Find(uint32 hash) const;
  // The next of those of the same hash.
  static RoutePlace* Next(const RoutePlace* place);

 private:
  struct Bucket {
    uint32 hash;
    RoutePlace* first;
  };

  void MakeBuckets();

  MemoryContext context_;
  int count_;
  RoutePlace* few_;              // all of them, until there are buckets
  BucketTable<Bucket> buckets_;  // not made: there are few
};

}  // namespace live_queries
