// A bucket for each hash, in a table of the server's. Process: decoder.
#include "template/route_places.hpp"

#include "pg/hash_table.hpp"

namespace live_queries {
namespace {

struct Bucket {
  uint32 hash;  // hash key
  RoutePlace* first;
};

Bucket* BucketOf(HTAB* buckets, uint32 hash, HASHACTION action, bool* found) {
  return static_cast<Bucket*>(hash_search(buckets, &hash, action, found));
}

}  // namespace

void RoutePlaces::Prepare() {
  buckets_ = MakeHashTable("live_queries routes", &Bucket::hash, 64, CurrentMemoryContext);
}

void RoutePlaces::Reserve(uint32 hash) {
  bool found;
  Bucket* bucket = BucketOf(buckets_, hash, HASH_ENTER, &found);
  if (!found) bucket->first = nullptr;
}

void RoutePlaces::Add(RoutePlace* place) {
  Bucket* bucket = BucketOf(buckets_, place->hash, HASH_FIND, nullptr);
  place->next = bucket->first;
  place->link = &bucket->first;
  if (place->next != nullptr) place->next->link = &place->next;
  bucket->first = place;
}

void RoutePlaces::Remove(RoutePlace* place) {
  *place->link = place->next;
  if (place->next != nullptr)
    place->next->link = place->link;
  else if (Find(place->hash) == nullptr)
    (void)BucketOf(buckets_, place->hash, HASH_REMOVE, nullptr);
}

RoutePlace* RoutePlaces::Find(uint32 hash) const {
  const Bucket* bucket = BucketOf(buckets_, hash, HASH_FIND, nullptr);
  return bucket == nullptr ? nullptr : bucket->first;
}

}  // namespace live_queries
