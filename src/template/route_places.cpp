// A list, then a bucket for each hash in a table of the server's. Process: decoder.
#include "template/route_places.hpp"

#include "pg/hash_table.hpp"

namespace live_queries {
namespace {

// So many are looked through as fast as a table is asked.
constexpr int kFew = 8;

struct Bucket {
  uint32 hash;  // hash key
  RoutePlace* first;
};

Bucket* BucketOf(HTAB* buckets, uint32 hash, HASHACTION action, bool* found) {
  return static_cast<Bucket*>(hash_search(buckets, &hash, action, found));
}

void MakeBucket(HTAB* buckets, uint32 hash) {
  bool found;
  Bucket* bucket = BucketOf(buckets, hash, HASH_ENTER, &found);
  if (!found) bucket->first = nullptr;
}

void Link(RoutePlace* place, RoutePlace** first) {
  place->next = *first;
  place->link = first;
  if (place->next != nullptr) place->next->link = &place->next;
  *first = place;
}

}  // namespace

void RoutePlaces::Prepare() {
  *this = {};
  context_ = CurrentMemoryContext;
}

// All that may fail comes first.
void RoutePlaces::MakeBuckets() {
  HTAB* buckets = MakeHashTable("live_queries routes", &Bucket::hash, 64, context_);
  for (RoutePlace* place = few_; place != nullptr; place = place->next)
    MakeBucket(buckets, place->hash);
  while (RoutePlace* place = few_) {
    few_ = place->next;
    Link(place, &BucketOf(buckets, place->hash, HASH_FIND, nullptr)->first);
  }
  buckets_ = buckets;
}

void RoutePlaces::Reserve(std::span<const RoutePlace> places) {
  if (buckets_ == nullptr && count_ + static_cast<int>(places.size()) > kFew) MakeBuckets();
  if (buckets_ == nullptr) return;
  for (const RoutePlace& place : places) MakeBucket(buckets_, place.hash);
}

void RoutePlaces::Add(RoutePlace* place) {
  ++count_;
  Link(place,
       buckets_ == nullptr ? &few_ : &BucketOf(buckets_, place->hash, HASH_FIND, nullptr)->first);
}

void RoutePlaces::Remove(RoutePlace* place) {
  --count_;
  *place->link = place->next;
  if (place->next != nullptr)
    place->next->link = place->link;
  else if (buckets_ != nullptr && Find(place->hash) == nullptr)
    (void)BucketOf(buckets_, place->hash, HASH_REMOVE, nullptr);
}

RoutePlace* RoutePlaces::Find(uint32 hash) const {
  if (buckets_ == nullptr) {
    RoutePlace* place = few_;
    while (place != nullptr && place->hash != hash) place = place->next;
    return place;
  }
  const Bucket* bucket = BucketOf(buckets_, hash, HASH_FIND, nullptr);
  return bucket == nullptr ? nullptr : bucket->first;
}

RoutePlace* RoutePlaces::Next(const RoutePlace* place) {
  RoutePlace* next = place->next;
  while (next != nullptr && next->hash != place->hash) next = next->next;
  return next;
}

}  // namespace live_queries
