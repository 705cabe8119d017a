// The list of this backend's subscriptions: found by id or serial, linked, removed. Process: client
// backend.
#include "deliver/local_subscription.hpp"

#include "pg/hash_table.hpp"
#include "pg/memory.hpp"
#include "registry/registration.hpp"

extern "C" {
#include "common/hashfn.h"
}

namespace live_queries {

namespace {

// The server's allocator gives powers of two: a byte more would take twice as much.
static_assert(sizeof(LocalSubscription) <= 512);

struct SerialEntry {
  uint64_t serial;  // hash key
  LocalSubscription* subscription;
};

// Those whose ids have one hash.
struct IdEntry {
  uint32 hash;  // hash key
  LocalSubscription* first;
};

LocalSubscription* first_subscription = nullptr;
HTAB* by_serial = nullptr;
HTAB* by_id = nullptr;

void PrepareTables() {
  if (by_id != nullptr) return;
  if (by_serial == nullptr)
    by_serial =
        MakeHashTable("live_queries subscriptions", &SerialEntry::serial, 16, TopMemoryContext);
  by_id = MakeHashTable("live_queries subscription ids", &IdEntry::hash, 16, TopMemoryContext);
}

uint32 HashOf(const SubscriptionId& id) {
  const std::string_view text = id.view();
  return hash_bytes(reinterpret_cast<const unsigned char*>(text.data()),
                    static_cast<int>(text.size()));
}

IdEntry* EntryOf(const SubscriptionId& id, HASHACTION action) {
  const uint32 hash = HashOf(id);
  return static_cast<IdEntry*>(hash_search(by_id, &hash, action, nullptr));
}

// An error after this leaves one that may be empty.
void PrepareEntry(const SubscriptionId& id) {
  const uint32 hash = HashOf(id);
  bool found;
  IdEntry* entry = static_cast<IdEntry*>(hash_search(by_id, &hash, HASH_ENTER, &found));
  if (!found) entry->first = nullptr;
}

void Unlink(LocalSubscription* subscription) {
  LocalSubscription** link = &first_subscription;
  while (*link != subscription) link = &(*link)->next;
  *link = subscription->next;
  IdEntry* entry = EntryOf(subscription->id, HASH_FIND);
  link = &entry->first;
  while (*link != subscription) link = &(*link)->next_of_hash;
  *link = subscription->next_of_hash;
  if (entry->first == nullptr) (void)EntryOf(subscription->id, HASH_REMOVE);
}

}  // namespace

LocalSubscription* FirstLocal() { return first_subscription; }

LocalSubscription* NextOfId(const SubscriptionId& id, const LocalSubscription* after) {
  LocalSubscription* one = nullptr;
  if (after != nullptr) {
    one = after->next_of_hash;
  } else if (by_id != nullptr) {
    const IdEntry* entry = EntryOf(id, HASH_FIND);
    one = entry == nullptr ? nullptr : entry->first;
  }
  while (one != nullptr && !(one->id == id)) one = one->next_of_hash;
  return one;
}

LocalSubscription* FindLocal(const SubscriptionId& id) {
  LocalSubscription* one = NextOfId(id, nullptr);
  while (one != nullptr && (one->flow.leaving() || one->over)) one = NextOfId(id, one);
  return one;
}

LocalSubscription* FindLocal(uint64_t serial) {
  if (by_serial == nullptr) return nullptr;
  const auto* entry =
      static_cast<SerialEntry*>(hash_search(by_serial, &serial, HASH_FIND, nullptr));
  return entry == nullptr ? nullptr : entry->subscription;
}

LocalSubscription* MakeLocal(const SubscriptionId& id, Delivery delivery) {
  // Not in SetSerial: an error there would leave it in the registry without a serial here.
  PrepareTables();
  PrepareEntry(id);
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
  IdEntry* entry = EntryOf(subscription->id, HASH_FIND);
  subscription->next_of_hash = entry->first;
  entry->first = subscription;
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
