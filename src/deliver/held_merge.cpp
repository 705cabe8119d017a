// A heap of the subscriptions' queues of held messages, by the position of what each gives next.
// Process: client backend.
#include "deliver/held_merge.hpp"

namespace live_queries {
namespace {

struct Source {
  LocalSubscription* subscription;
  RecordHeader next;
  int place;  // in the list of subscriptions
};

Source* First(binaryheap* sources) {
  return reinterpret_cast<Source*>(DatumGetPointer(binaryheap_first(sources)));
}

// A reset or termination has no `more`: it comes before the changes of its transaction, the last of
// which says that all show one point in time.
bool ComesBefore(const Source& a, const Source& b) {
  if (a.next.seq != b.next.seq) return a.next.seq < b.next.seq;
  const bool a_changes = a.next.kind == RecordKind::kChanges;
  const bool b_changes = b.next.kind == RecordKind::kChanges;
  if (a_changes != b_changes) return b_changes;
  return a.place < b.place;
}

// The server's heap has the greatest in front.
int Compare(Datum a, Datum b, void*) {
  return ComesBefore(*reinterpret_cast<const Source*>(DatumGetPointer(a)),
                     *reinterpret_cast<const Source*>(DatumGetPointer(b)))
             ? 1
             : -1;
}

bool HasHeld(const LocalSubscription& one, Delivery delivery) {
  return one.delivery == delivery && !one.held->empty() && one.flow.CanRelease();
}

// What was discarded meanwhile is passed by.
bool IsEmpty(binaryheap* sources) {
  while (!binaryheap_empty(sources) && First(sources)->subscription->held->unread() == 0)
    (void)binaryheap_remove_first(sources);
  return binaryheap_empty(sources);
}

}  // namespace

binaryheap* MergeHeld(Delivery delivery) {
  int count = 0;
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next)
    if (HasHeld(*one, delivery)) ++count;
  if (count == 0) return nullptr;
  binaryheap* sources = binaryheap_allocate(count, Compare, nullptr);
  Source* source = static_cast<Source*>(palloc0(sizeof(Source) * static_cast<size_t>(count)));
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next) {
    if (!HasHeld(*one, delivery)) continue;
    one->held->Rewind();
    source->subscription = one;
    source->place = --count;
    (void)one->held->Peek(&source->next);
    binaryheap_add(sources, PointerGetDatum(source));
    ++source;
  }
  return sources;
}

bool NextHeld(binaryheap* sources, HeldMessage* message) {
  if (sources == nullptr || IsEmpty(sources)) return false;
  Source* source = First(sources);
  RecordQueue* queue = source->subscription->held;
  message->subscription = source->subscription;
  (void)queue->Read(&message->record);
  if (queue->Peek(&source->next))
    binaryheap_replace_first(sources, PointerGetDatum(source));
  else
    (void)binaryheap_remove_first(sources);
  message->more =
      !IsEmpty(sources) && AreOfOneTransaction(message->record.header, First(sources)->next);
  return true;
}

}  // namespace live_queries
