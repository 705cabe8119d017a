// Registering, removing, and a backend's end. Process: client backend.
#include "registry/registration.hpp"

#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "registry/definition_table.hpp"
#include "registry/kept_problem.hpp"
#include "registry/limits.hpp"
#include "registry/mail_storage.hpp"
#include "registry/terminated.hpp"

extern "C" {
#include "mb/pg_wchar.h"
#include "storage/ipc.h"
#include "storage/proc.h"
}

namespace live_queries {
namespace {

// What RegisterSubscription has made of a subscription that it has not entered yet. An error leaves
// it here, for AbandonRegistration.
struct Unfinished {
  int consumer;
  bool counted;
  uint64_t reserved;  // bytes
  DefinitionShared definition;
  dsa_pointer subscription;
};
constexpr Unfinished kNothing = {};
static_assert(InvalidDsaPointer == 0);
Unfinished unfinished = kNothing;

void FreeSubscription(ConnectionShared* connection, dsa_pointer pointer) {
  DefinitionShared definition = FromArea<SubscriptionShared>(pointer)->definition;
  KeptProblemShared problem = FromArea<SubscriptionShared>(pointer)->problem;
  FreeShared(pointer);
  Discharge(connection, sizeof(SubscriptionShared));
  LeaveDefinition(connection, &definition);
  // Last, since it may have to map memory that a consumer has put it in.
  FreeProblem(connection, &problem);
}

// Doubles the slots. False if there is no memory, or no index left. The caller holds the lock.
bool GrowSlots(ConnectionShared* connection) {
  const int old_capacity = connection->slot_capacity;
  const int capacity = old_capacity == 0 ? 4 : old_capacity * 2;
  if (capacity > (1 << kSlotBits)) return false;
  const dsa_pointer grown = AllocateShared(sizeof(SlotShared) * capacity, DSA_ALLOC_ZERO);
  if (!DsaPointerIsValid(grown)) return false;
  Charge(connection, sizeof(SlotShared) * capacity);
  SlotShared* slots = FromArea<SlotShared>(grown);
  if (old_capacity > 0) {
    memcpy(slots, FromArea<SlotShared>(connection->slots), sizeof(SlotShared) * old_capacity);
    FreeShared(connection->slots);
    Discharge(connection, sizeof(SlotShared) * old_capacity);
  }
  connection->slots = grown;
  connection->slot_capacity = capacity;
  return true;
}

// A free slot of the consumer's lane; -1 if there is no memory, or no index left. The caller holds
// the lock.
int TakeSlot(ConnectionShared* connection, int consumer) {
  LaneShared& lane = connection->lanes[consumer];
  int slot = lane.free_slot;
  if (slot >= 0) {
    lane.free_slot = FromArea<SlotShared>(connection->slots)[slot].next_free;
    return slot;
  }
  if (connection->slots_used == connection->slot_capacity && !GrowSlots(connection)) return -1;
  slot = connection->slots_used++;
  FromArea<SlotShared>(connection->slots)[slot].consumer = static_cast<int16_t>(consumer);
  return slot;
}

void GiveBackSlot(ConnectionShared* connection, int slot) {
  SlotShared& place = FromArea<SlotShared>(connection->slots)[slot];
  LaneShared& lane = connection->lanes[place.consumer];
  place.serial = 0;
  place.next_free = lane.free_slot;
  lane.free_slot = slot;
}

bool MakeSubscription(ConnectionShared* connection, const NewSubscription& subscription) {
  if (!UseDefinition(connection, subscription.fields, &unfinished.definition)) return false;
  LIVE_QUERIES_FAULT("definition-used");
  unfinished.subscription = AllocateShared(sizeof(SubscriptionShared), DSA_ALLOC_ZERO);
  if (!DsaPointerIsValid(unfinished.subscription)) return false;
  SubscriptionShared* shared = FromArea<SubscriptionShared>(unfinished.subscription);
  shared->definition = unfinished.definition;
  shared->id = subscription.id;
  shared->consumer = static_cast<uint8_t>(subscription.consumer);
  shared->phase = Phase::kRegistered;
  shared->status = SubscriptionStatus::kActive;
  shared->delivery = subscription.delivery;
  shared->strategy = subscription.strategy;
  shared->role = subscription.role;
  shared->session = subscription.session;
  shared->analysed_at = subscription.analysed_at;
  shared->values_here = subscription.values_here;
  shared->sent_back = static_cast<uint8_t>(std::min(subscription.sent_back, UINT8_MAX));
  shared->database = MyDatabaseId;
  shared->encoding = GetDatabaseEncoding();
  shared->replaces = subscription.replaces;
  shared->created_at = GetCurrentTimestamp();
  return true;
}

// Whether the subscription of that serial can leave its place to another one of that consumer: each
// has places of its own, of its lane.
bool HasPlace(const ConnectionShared& connection, uint64_t serial, int consumer) {
  return WithLock(connection.lock, LW_SHARED, [&] {
    const SubscriptionShared* subscription = FindSubscription(connection, serial);
    return subscription != nullptr && subscription->counted && subscription->consumer == consumer;
  });
}

// Counts a place unless there is one to take over.
void ReserveOwnPlace(ConnectionShared* connection, const NewSubscription& subscription) {
  if (HasPlace(*connection, subscription.replaces, subscription.consumer)) return;
  ReservePlace(connection, subscription.consumer);
  unfinished.consumer = subscription.consumer;
  unfinished.counted = true;
}

// What a new subscription takes is counted before there is any of it, or raises an error. Its
// definition is as well, where it is made.
void Reserve(ConnectionShared* connection, const NewSubscription& subscription) {
  // The decoder has to copy it in one piece.
  if (TextBytes(subscription.fields) > MaxAllocSize / 2)
    ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
            errmsg("the query with its parameters is too large for a live query"),
            errdetail("It may take %zu bytes.", MaxAllocSize / 2));
  ReserveOwnPlace(connection, subscription);
  ReserveMemory(connection, sizeof(SubscriptionShared));
  unfinished.reserved = sizeof(SubscriptionShared);
}

// Counts a subscription in the place that is reserved for it, or in that of the one that it
// replaces; false if that has none. The caller holds the lock.
bool TakePlace(ConnectionShared* connection, SubscriptionShared* subscription) {
  if (unfinished.counted) {
    subscription->replaces = 0;
    CountInLane(connection, subscription->consumer);
  } else {
    SubscriptionShared* replaced = FindSubscription(*connection, subscription->replaces);
    if (replaced == nullptr || !replaced->counted) return false;
    replaced->counted = false;
  }
  subscription->counted = true;
  return true;
}

// Whether the one in whose place another one is to begin has ended, though its client does not
// know. The caller holds the lock.
bool HasEnded(const ConnectionShared& connection, uint64_t serial) {
  const SubscriptionShared* subscription = FindSubscription(connection, serial);
  return subscription != nullptr && subscription->status == SubscriptionStatus::kTerminated;
}

// The first of those that begin in each other's place in the running transaction; 0: none. The
// caller holds the lock.
uint64_t FirstFormer(const ConnectionShared& connection, uint64_t replaces) {
  const SubscriptionShared* replaced = FindSubscription(connection, replaces);
  if (replaced == nullptr) return 0;
  return FindSubscription(connection, replaced->former) == nullptr ? replaces : replaced->former;
}

[[noreturn]] void RaiseEnded(const SubscriptionId& id) {
  ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
          errmsg("live query \"%s\" has ended", CopyText(id.view())),
          errhint("Its last message, which is to come, says why. After that subscribe again."));
  pg_unreachable();
}

// Puts what is unfinished into a slot; 0 if there is none, or no place. The caller holds the lock.
uint64_t EnterSlot(ConnectionShared* connection) {
  const dsa_pointer pointer = unfinished.subscription;
  SubscriptionShared* subscription = FromArea<SubscriptionShared>(pointer);
  const int slot = TakeSlot(connection, subscription->consumer);
  if (slot < 0) return 0;
  subscription->former = FirstFormer(*connection, subscription->replaces);
  if (!TakePlace(connection, subscription)) {
    GiveBackSlot(connection, slot);
    return 0;
  }
  const uint64_t number = Control()->subscriptions_created.Add(1) + 1;
  const uint64_t serial = (number << kSlotBits) | static_cast<uint64_t>(slot);
  SlotShared& place = FromArea<SlotShared>(connection->slots)[slot];
  place.serial = serial;
  place.subscription = pointer;
  subscription->serial = serial;
  MarkSlotDirty(connection, serial);
  return serial;
}

void FreeSlots(ConnectionShared* connection, dsa_pointer pointer, int capacity) {
  if (!DsaPointerIsValid(pointer)) return;
  const SlotShared* slots = FromArea<SlotShared>(pointer);
  for (int slot = 0; slot < capacity; ++slot)
    if (slots[slot].serial != 0) FreeSubscription(connection, slots[slot].subscription);
  FreeShared(pointer);
  Discharge(connection, sizeof(SlotShared) * capacity);
}

// Frees all that this backend has in the registry, however it ends.
void OnBackendExit(int, Datum) {
  ConnectionShared* connection = MyConnectionIfAny();
  if (connection == nullptr) return;
  AbandonRegistration();
  SetMyConnection(nullptr);
  LIVE_QUERIES_FAULT("client-exit");
  const uint64_t connection_id = connection->connection_id.Load();
  const dsa_pointer slots = connection->slots;
  const int slot_capacity = connection->slot_capacity;
  uint32 subscriptions[kMaxConsumers] = {};
  dsa_pointer mail[kMaxConsumers] = {};
  WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    connection->connection_id.Store(0);
    connection->pid.Store(0);
    connection->slots = InvalidDsaPointer;
    connection->slot_capacity = 0;
    for (int consumer = 0; consumer < kMaxConsumers; ++consumer) {
      const LaneShared& lane = connection->lanes[consumer];
      subscriptions[consumer] = static_cast<uint32>(lane.subscription_count.Load());
      mail[consumer] = lane.mail_first;
    }
    ResetLanes(connection);
  });
  RemoveSpillFiles(connection_id);
  for (int consumer = 0; consumer < kMaxConsumers; ++consumer)
    ReleasePlaces(connection, consumer, subscriptions[consumer]);
  TellConsumers(connection);
  // Last, since it may have to map memory that a consumer has put mail in.
  FreeSlots(connection, slots, slot_capacity);
  for (const dsa_pointer first : mail) FreeBlocks(connection, first);
}

// After that, and even if an error cuts it short.
void OnBackendLeft(int, Datum) { LeaveRole(ConnectionAt(ProcIndex(MyProc))); }

}  // namespace

ConnectionShared* MyConnection() {
  if (MyConnectionIfAny() != nullptr) return MyConnectionIfAny();
  Area();  // attached now, so that the exit need not
  ChannelName channel;
  MakeUnguessableName(channel);
  ConnectionShared* connection = ConnectionAt(ProcIndex(MyProc));
  before_shmem_exit(OnBackendLeft, 0);
  JoinRole(connection);
  before_shmem_exit(OnBackendExit, 0);
  WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    memcpy(connection->channel, channel, sizeof(channel));
    connection->pid.Store(MyProcPid);
    connection->backend_id.Store(MyBackendNumber());
    connection->database.Store(MyDatabaseId);
    connection->slots = InvalidDsaPointer;
    connection->slot_capacity = 0;
    connection->slots_used = 0;
    ResetLanes(connection);
    connection->wake_pending.Store(false);
    connection->connection_id.Store(Control()->connections_created.Add(1) + 1);
  });
  SetMyConnection(connection);
  return connection;
}

uint64_t RegisterSubscription(const NewSubscription& subscription) {
  ConnectionShared* connection = MyConnection();
  Reserve(connection, subscription);
  LIVE_QUERIES_FAULT("registry-enter");
  bool ended = false;
  auto enter = [&] {
    return WithLock(connection->lock, LW_EXCLUSIVE, [&] {
      ended = HasEnded(*connection, subscription.replaces);
      return ended ? uint64_t{0} : EnterSlot(connection);
    });
  };
  const bool made = MakeSubscription(connection, subscription);
  uint64_t serial = made ? enter() : 0;
  if (serial == 0) {
    AbandonRegistration();
    if (ended) RaiseEnded(subscription.id);
    RaiseOutOfMemory();
  }
  unfinished = kNothing;
  TellConsumer(connection, subscription.consumer);
  const DatabaseShared* database = FindDatabase(MyDatabaseId);
  // It may have been killed already. A consumer that is ending wakes the launcher itself.
  if (database != nullptr && database->consumers[subscription.consumer].pid.Load() == 0)
    WakeLauncher();
  return serial;
}

void AbandonRegistration() {
  ConnectionShared* connection = MyConnectionIfAny();
  Unfinished abandoned = unfinished;
  unfinished = kNothing;
  AbandonPart(connection);
  if (DsaPointerIsValid(abandoned.subscription)) FreeShared(abandoned.subscription);
  LeaveDefinition(connection, &abandoned.definition);
  if (abandoned.reserved > 0) Discharge(connection, abandoned.reserved);
  if (abandoned.counted) ReleasePlaces(connection, abandoned.consumer, 1);
}

void RemoveSubscription(uint64_t serial, bool kept, ProblemShared* problem) {
  ConnectionShared* connection = MyConnectionIfAny();
  if (connection == nullptr) return;
  LIVE_QUERIES_FAULT("registry-remove");
  int consumer = 0;
  const dsa_pointer removed = WithLock(connection->lock, LW_EXCLUSIVE, [&]() -> dsa_pointer {
    SubscriptionShared* subscription = FindSubscription(*connection, serial);
    if (subscription == nullptr) return InvalidDsaPointer;
    const int slot = SlotOfSerial(serial);
    consumer = subscription->consumer;
    if (problem != nullptr) *problem = CopyProblem(subscription->problem);
    MarkSlotDirty(connection, serial);
    GiveBackSlot(connection, slot);
    GiveUpPlace(connection, subscription);
    if (kept) UpdateTerminated(*subscription);
    return FromArea<SlotShared>(connection->slots)[slot].subscription;
  });
  if (!DsaPointerIsValid(removed)) return;
  FreeSubscription(connection, removed);
  TellConsumer(connection, consumer);
}

void InheritCounters(uint64_t old_serial, uint64_t new_serial) {
  ConnectionShared* connection = MyConnectionIfAny();
  WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    const SubscriptionShared* old = FindSubscription(*connection, old_serial);
    SubscriptionShared* fresh = FindSubscription(*connection, new_serial);
    if (old == nullptr || fresh == nullptr) return;
    fresh->created_at = old->created_at;
    fresh->last_delivered_at = old->last_delivered_at;
    fresh->seq = old->seq;
    fresh->messages = old->messages;
    fresh->changes = old->changes;
    fresh->resets = old->resets;
  });
}

}  // namespace live_queries
