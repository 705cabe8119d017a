// A heap of the queues of subscriptions, by what each gives next. Called by dispatch.cpp and
// poll_queue.cpp. Process: client backend.
#include "deliver/held_merge.hpp"

#include "pg/memory.hpp"

namespace live_queries {
namespace {

bool IsChanges(const HeldSource& source) { return source.next.kind == RecordKind::kChanges; }

// A reset or termination is no part of a point: it comes before the last changes of it, with which
// all show one point in time, or their clients know that they do not.
bool ComesBefore(const HeldSource& a, const HeldSource& b) {
  if (a.seq != b.seq) return a.seq < b.seq;
  if (IsChanges(a) != IsChanges(b)) return IsChanges(b);
  return a.subscription->serial < b.subscription->serial;
}

// The server's heap has the greatest in front.
int Compare(Datum a, Datum b, void*) {
  return ComesBefore(*reinterpret_cast<const HeldSource*>(DatumGetPointer(a)),
                     *reinterpret_cast<const HeldSource*>(DatumGetPointer(b)))
             ? 1
             : -1;
}

}  // namespace

void HeldMerge::Allocate() {
  int count = 0;
  for (const LocalSubscription* one : Stirring())
    if (one->held->unread() > 0) ++count;
  news_ = 0;
  heap_ = count == 0 ? nullptr : binaryheap_allocate(count, Compare, nullptr);
}

void HeldMerge::Add(LocalSubscription* subscription) {
  HeldSource* source = static_cast<HeldSource*>(palloc0(sizeof(HeldSource)));
  source->subscription = subscription;
  (void)subscription->held->Peek(&source->next);
  source->seq = source->next.seq;
  if (!IsChanges(*source)) ++news_;
  binaryheap_add_unordered(heap_, PointerGetDatum(source));
}

void HeldMerge::Order() {
  if (heap_ != nullptr) binaryheap_build(heap_);
}

HeldSource* HeldMerge::At(int index) const {
  return reinterpret_cast<HeldSource*>(DatumGetPointer(heap_->bh_nodes[index]));
}

HeldSource* HeldMerge::First() {
  return heap_ == nullptr || binaryheap_empty(heap_) ? nullptr : At(0);
}

void HeldMerge::Advance() {
  HeldSource* source = At(0);
  if (!IsChanges(*source)) --news_;
  if (!source->subscription->held->Peek(&source->next)) {
    (void)binaryheap_remove_first(heap_);
    return;
  }
  if (!IsChanges(*source)) ++news_;
  if (source->seq < source->next.seq) source->seq = source->next.seq;
  binaryheap_replace_first(heap_, PointerGetDatum(source));
}

bool HeldMerge::IsFollowed(const Point& point, const RecordHeader& message) const {
  if (heap_ == nullptr || binaryheap_empty(heap_)) return false;
  // Mostly the first one says it.
  if (IsChanges(*At(0))) return point.IsFollowedBy(message, At(0)->next);
  for (int i = 1; i < heap_->bh_size; ++i)
    if (IsChanges(*At(i)) && point.IsFollowedBy(message, At(i)->next)) return true;
  return false;
}

HeldSource* HeldMerge::FindNews(const Point& point, const HeldSource* source) const {
  for (int i = 0; news_ > 0 && i < heap_->bh_size; ++i) {
    HeldSource* other = At(i);
    const bool is_part = other->seq <= point.last().value || other->seq <= source->seq;
    if (other != source && !IsChanges(*other) && is_part) return other;
  }
  return nullptr;
}

HeldSource* HeldMerge::Prefer(HeldSource* source) {
  source->seq = 0;
  binaryheap_build(heap_);
  return At(0);
}

}  // namespace live_queries
