// The roll of this backend's subscriptions: found by id or serial, entered, removed. Process:
// client backend.
#include "deliver/local_subscription.hpp"

#include <algorithm>

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

// Subscriptions in an array. The last one takes the place of one that is removed.
class Roll {
 public:
  // `place`: where a subscription notes its own.
  explicit constexpr Roll(int LocalSubscription::*place) : place_(place) {}

  // Makes room for `count` in all.
  void Reserve(int count) {
    if (count <= capacity_) return;
    const int grown = std::max(count, capacity_ * 2);
    const size_t bytes = sizeof(LocalSubscription*) * static_cast<size_t>(grown);
    void* items = items_ == nullptr ? MemoryContextAllocHuge(TopMemoryContext, bytes)
                                    : repalloc_huge(items_, bytes);
    items_ = static_cast<LocalSubscription**>(items);
    capacity_ = grown;
  }

  void Add(LocalSubscription* one) {
    if (one->*place_ != 0) return;
    items_[count_] = one;
    one->*place_ = ++count_;
  }

  void Remove(LocalSubscription* one) {
    if (one->*place_ == 0) return;
    LocalSubscription* last = items_[--count_];
    items_[one->*place_ - 1] = last;
    last->*place_ = one->*place_;
    one->*place_ = 0;
  }

  std::span<LocalSubscription* const> all() const { return {items_, static_cast<size_t>(count_)}; }

 private:
  int LocalSubscription::*place_;
  LocalSubscription** items_ = nullptr;
  int count_ = 0;
  int capacity_ = 0;
};

Roll all_of_them(&LocalSubscription::place);
Roll those_that_stir(&LocalSubscription::stirring);
int of_consumer[kMaxConsumers] = {};
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
  those_that_stir.Remove(subscription);
  all_of_them.Remove(subscription);
  --of_consumer[subscription->consumer];
  IdEntry* entry = EntryOf(subscription->id, HASH_FIND);
  LocalSubscription** link = &entry->first;
  while (*link != subscription) link = &(*link)->next_of_hash;
  *link = subscription->next_of_hash;
  if (entry->first == nullptr) (void)EntryOf(subscription->id, HASH_REMOVE);
}

}  // namespace

std::span<const LocalSubscription* const> AllLocal() { return all_of_them.all(); }

std::span<LocalSubscription* const> Stirring() { return those_that_stir.all(); }

LocalSubscription* Stir(const LocalSubscription* subscription) {
  auto* one = const_cast<LocalSubscription*>(subscription);
  those_that_stir.Add(one);
  return one;
}

void LieStill(LocalSubscription* subscription) { those_that_stir.Remove(subscription); }

IndexSet ConsumersOfLocal() {
  IndexSet consumers;
  for (int consumer = 0; consumer < kMaxConsumers; ++consumer)
    if (of_consumer[consumer] > 0) consumers.Add(consumer);
  return consumers;
}

void SetConsumer(LocalSubscription* subscription, int consumer) {
  --of_consumer[subscription->consumer];
  subscription->consumer = consumer;
  ++of_consumer[consumer];
}

LocalSubscription* NextOfId(const SubscriptionId& id, const LocalSubscription* after) {
  LocalSubscription* one = nullptr;
  if (after != nullptr) {
    one = after->next_of_hash;
  } else if (by_id != nullptr) {
    const IdEntry* entry = EntryOf(id, HASH_FIND);
    one = entry == nullptr ? nullptr : entry->first;
  }
  while (one != nullptr && !(one->id == id)) one = one->next_of_hash;
  return one == nullptr ? nullptr : Stir(one);
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
  return entry == nullptr ? nullptr : Stir(entry->subscription);
}

LocalSubscription* MakeLocal(const SubscriptionId& id, Delivery delivery) {
  // Not in SetSerial: an error there would leave it in the registry without a serial here.
  PrepareTables();
  PrepareEntry(id);
  const int count = static_cast<int>(AllLocal().size()) + 1;
  all_of_them.Reserve(count);
  those_that_stir.Reserve(count);
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
  all_of_them.Add(subscription);
  those_that_stir.Add(subscription);
  ++of_consumer[subscription->consumer];
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
  for (const LocalSubscription* one : AllLocal())
    if (one->consumer == consumer && !one->flow.broken() && !one->over)
      NoteLost(Stir(one), kRestartedReason);
}

}  // namespace live_queries
