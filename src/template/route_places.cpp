// A list, then a bucket for each hash in a table of the server's. Process: decoder.
#include "template/route_places.hpp"

namespace live_queries {
namespace {

// So many are looked through as fast as a table is asked.
constexpr int kFew = 8;

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
  BucketTable<Bucket> buckets = {};
  buckets.Make("live_queries routes", context_);
  for (RoutePlace* place = few_; place != nullptr; place = place->next)
    (void)buckets.Enter(place->hash);
  buckets_ = buckets;
  while (RoutePlace* place = few_) {
    few_ = place->next;
    Link(place, &buckets_.At(place->hash)->first);
  }
}

void RoutePlaces::Reserve(std::span<const RoutePlace> places) {
  if (!buckets_.IsMade() && count_ + static_cast<int>(places.size()) > kFew) MakeBuckets();
  if (!buckets_.IsMade()) return;
  for (const RoutePlace& place : places) (void)buckets_.Enter(place.hash);
}

void RoutePlaces::Add(RoutePlace* place) {
  ++count_;
  Link(place, buckets_.IsMade() ? &buckets_.At(place->hash)->first : &few_);
}

void RoutePlaces::Remove(RoutePlace* place) {
  --count_;
  *place->link = place->next;
  if (place->next != nullptr)
    place->next->link = place->link;
  else if (buckets_.IsMade() && Find(place->hash) == nullptr)
    buckets_.Remove(place->hash);
}

RoutePlace* RoutePlaces::Find(uint32 hash) const {
  if (buckets_.IsMade()) {
    const Bucket* bucket = buckets_.Find(hash);
    return bucket == nullptr ? nullptr : bucket->first;
  }
  RoutePlace* place = few_;
  while (place != nullptr && place->hash != hash) place = place->next;
  return place;
}

RoutePlace* RoutePlaces::Next(const RoutePlace* place) {
  RoutePlace* next = place->next;
  while (next != nullptr && next->hash != place->hash) next = next->next;
  return next;
}

}  // namespace live_queries
