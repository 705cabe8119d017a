// The list of this backend's subscriptions: found by id or serial, linked, removed. Process: client
// backend.
#include "deliver/local_subscription.hpp"

#include "pg/memory.hpp"
#include "registry/registration.hpp"

extern "C" {
#include "utils/hsearch.h"
}

namespace live_queries {

namespace {

// The server's allocator gives powers of two: a byte more would take twice as much.
static_assert(sizeof(LocalSubscription) <= 512);

struct SerialEntry {
  uint64_t serial;  // hash key
  LocalSubscription* subscription;
};

LocalSubscription* first_subscription = nullptr;
HTAB* by_serial = nullptr;

void Unlink(LocalSubscription* subscription) {
  LocalSubscription** link = &first_subscription;
  while (*link != subscription) link = &(*link)->next;
  *link = subscription->next;
}

}  // namespace

LocalSubscription* FirstLocal() { return first_subscription; }

LocalSubscription* FindLocal(const SubscriptionId& id) {
  for (LocalSubscription* one = first_subscription; one != nullptr; one = one->next)
    if (!one->flow.leaving() && !one->over && one->id == id) return one;
  return nullptr;
}

LocalSubscription* FindLocal(uint64_t serial) {
  if (by_serial == nullptr) return nullptr;
  const auto* entry =
      static_cast<SerialEntry*>(hash_search(by_serial, &serial, HASH_FIND, nullptr));
  return entry == nullptr ? nullptr : entry->subscription;
}

LocalSubscription* MakeLocal(const SubscriptionId& id, Delivery delivery) {
  // Not in SetSerial: an error there would leave it in the registry without a serial here.
  if (by_serial == nullptr) {
    HASHCTL control = {};
    control.keysize = sizeof(uint64_t);
    control.entrysize = sizeof(SerialEntry);
    by_serial = hash_create("live_queries subscriptions", 16, &control, HASH_ELEM | HASH_BLOBS);
  }
  MemoryContext context =
      AllocSetContextCreate(TopMemoryContext, "live_queries subscription", ALLOCSET_SMALL_SIZES);
  LocalSubscription* subscription = AllocateIn<LocalSubscription>(context);
  subscription->context = context;
  subscription->id = id;
  subscription->delivery = delivery;
  subscription->flow = FlowControl();
  subscription->held = RecordQueue::Create(context);
  return subscription;
}

void Link(LocalSubscription* subscription) {
  subscription->next = first_subscription;
  first_subscription = subscription;
}

void SetSerial(LocalSubscription* subscription, uint64_t serial) {
  hash_search(by_serial, &subscription->serial, HASH_REMOVE, nullptr);
  subscription->serial = serial;
  static_cast<SerialEntry*>(hash_search(by_serial, &serial, HASH_ENTER, nullptr))->subscription =
      subscription;
}

void Remove(LocalSubscription* subscription, bool kept) {
  Unlink(subscription);
  if (subscription->serial != 0) {
    (void)hash_search(by_serial, &subscription->serial, HASH_REMOVE, nullptr);
    RemoveSubscription(subscription->serial, kept);
  }
  subscription->held->Destroy();
  MemoryContextDelete(subscription->context);
}

void DeliveredCounts::Add(const RecordHeader& header, SeqId carried) {
  ++messages;
  changes += header.change_count;
  if (header.kind == RecordKind::kReset) ++resets;
  if (seq < carried.value) seq = carried.value;
}

void DeliveredCounts::Add(const DeliveredCounts& others) {
  messages += others.messages;
  changes += others.changes;
  resets += others.resets;
  if (seq < others.seq) seq = others.seq;
}

void DeliveredCounts::TakeBack(const RecordHeader& header) {
  --messages;
  changes -= header.change_count;
}

void KeepWaiting(LocalSubscription* subscription, const RecordView& record) {
  subscription->held->Append(record.header, record.body);
  if (subscription->delivery == Delivery::kPoll)
    subscription->waiting.Add(record.header, SeqId{record.header.seq});
}

bool IsShown(const LocalSubscription& subscription) {
  const bool told_of_reset = subscription.flow.broken() && subscription.held->unread() == 0;
  return subscription.flow.IsFlowing() && !told_of_reset;
}

void NoteLost(LocalSubscription* subscription, std::string_view because) {
  subscription->flow.OnLost();
  subscription->lost_because = because;
}

void NoteEnded(int consumer) {
  for (LocalSubscription* one = first_subscription; one != nullptr; one = one->next)
    if (one->consumer == consumer && !one->flow.broken() && !one->over)
      NoteLost(one, kRestartedReason);
}

}  // namespace live_queries
