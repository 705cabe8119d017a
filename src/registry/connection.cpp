// The registry's operations. Process: client backend (register, remove, exit), any (the rest).
#include "registry/connection.hpp"

#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "registry/mail_storage.hpp"
#include "registry/settings.hpp"

extern "C" {
#include "storage/ipc.h"
#include "storage/proc.h"
}

namespace live_queries {
namespace {

ConnectionShared* my_connection = nullptr;

// What RegisterSubscription has made of a subscription that it has not entered yet. An error leaves
// it here, for AbandonRegistration.
struct Unfinished {
  bool counted;
  dsa_pointer definition;
  dsa_pointer subscription;
};
Unfinished unfinished = {false, InvalidDsaPointer, InvalidDsaPointer};

void FreeSubscription(dsa_pointer pointer) {
  FreeShared(FromArea<SubscriptionShared>(pointer)->definition);
  FreeShared(pointer);
}

[[noreturn]] void RaiseOutOfMemory() {
  ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of shared memory for live queries"),
          errhint("End some live queries, or raise live_queries.memory_limit."));
  pg_unreachable();
}

// Doubles the slots. False if there is no memory, or no index left. The caller holds the lock.
bool GrowSlots(ConnectionShared* connection) {
  const int old_capacity = connection->slot_capacity;
  const int capacity = old_capacity == 0 ? 4 : old_capacity * 2;
  if (capacity > (1 << kSlotBits)) return false;
  const dsa_pointer grown = AllocateShared(sizeof(SlotShared) * capacity, DSA_ALLOC_ZERO);
  if (!DsaPointerIsValid(grown)) return false;
  SlotShared* slots = FromArea<SlotShared>(grown);
  if (old_capacity > 0) {
    memcpy(slots, FromArea<SlotShared>(connection->slots), sizeof(SlotShared) * old_capacity);
    FreeShared(connection->slots);
  }
  for (int slot = old_capacity; slot < capacity; ++slot) {
    slots[slot].next_dirty = -1;
    slots[slot].next_free = slot + 1 < capacity ? slot + 1 : connection->free_slot;
  }
  connection->free_slot = old_capacity;
  connection->slots = grown;
  connection->slot_capacity = capacity;
  return true;
}

void MarkSlotOnList(ConnectionShared* connection, SlotShared* slots, int slot) {
  if (slots[slot].dirty) return;
  slots[slot].dirty = true;
  slots[slot].next_dirty = connection->dirty_slot;
  connection->dirty_slot = slot;
}

bool MakeDefinition(const NewSubscription& subscription) {
  size_t bytes = 0;
  for (std::string_view field : subscription.fields) bytes += field.size() + 1;
  unfinished.definition = AllocateShared(offsetof(DefinitionShared, data) + bytes, DSA_ALLOC_ZERO);
  if (!DsaPointerIsValid(unfinished.definition)) return false;
  DefinitionShared* definition = FromArea<DefinitionShared>(unfinished.definition);
  definition->bytes = static_cast<uint32_t>(bytes);
  uint32_t offset = 0;
  for (int i = 0; i < kDefinitionFields; ++i) {
    const std::string_view field = subscription.fields[i];
    definition->offsets[i] = offset;
    memcpy(definition->data + offset, field.data(), field.size());
    offset += static_cast<uint32_t>(field.size()) + 1;  // the NUL is there: memory is zeroed
  }
  return true;
}

bool MakeSubscription(const NewSubscription& subscription) {
  if (!MakeDefinition(subscription)) return false;
  unfinished.subscription = AllocateShared(sizeof(SubscriptionShared), DSA_ALLOC_ZERO);
  if (!DsaPointerIsValid(unfinished.subscription)) return false;
  SubscriptionShared* shared = FromArea<SubscriptionShared>(unfinished.subscription);
  shared->definition = unfinished.definition;
  shared->id = subscription.id;
  shared->phase = Phase::kRegistered;
  shared->status = SubscriptionStatus::kActive;
  shared->delivery = subscription.delivery;
  shared->role = subscription.role;
  shared->session = subscription.session;
  shared->database = MyDatabaseId;
  shared->created_at = GetCurrentTimestamp();
  return true;
}

// Counts one more subscription, or raises why there cannot be one.
DatabaseShared* ReservePlace() {
  if (pg_atomic_fetch_add_u32(&Control()->subscription_count, 1) >=
      static_cast<uint32>(max_subscriptions)) {
    pg_atomic_fetch_sub_u32(&Control()->subscription_count, 1);
    ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
            errmsg("too many live queries on this server"),
            errdetail("There can be %d.", max_subscriptions),
            errhint("End some live queries, or raise live_queries.max_subscriptions."));
  }
  DatabaseShared* database = WithLock(ControlLock(), LW_EXCLUSIVE, [] {
    DatabaseShared* found = FindOrAddDatabase(MyDatabaseId);
    if (found != nullptr) pg_atomic_fetch_add_u32(&found->subscriptions, 1);
    return found;
  });
  if (database == nullptr) {
    pg_atomic_fetch_sub_u32(&Control()->subscription_count, 1);
    ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
            errmsg("too many databases have live queries"),
            errdetail("There can be %d.", max_databases),
            errhint("Raise live_queries.max_databases."));
  }
  unfinished.counted = true;
  return database;
}

void ReleasePlaces(Oid database, uint32 count) {
  pg_atomic_fetch_sub_u32(&Control()->subscription_count, count);
  DatabaseShared* slot = FindDatabase(database);
  if (slot == nullptr) return;
  pg_atomic_fetch_sub_u32(&slot->subscriptions, count);
  WakeDecoder(slot);
}

// Keeps what a terminated subscription was, for the view, in the place of the oldest one kept.
void KeepTerminated(const ConnectionShared& connection, dsa_pointer subscription) {
  const dsa_pointer evicted = WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    ControlShared* control = Control();
    TerminatedShared& kept = control->terminated[control->terminated_next];
    control->terminated_next = (control->terminated_next + 1) % kTerminatedKept;
    const dsa_pointer oldest = kept.subscription;
    kept = {subscription, connection.connection_id, connection.database, connection.pid};
    return oldest;
  });
  if (DsaPointerIsValid(evicted)) FreeSubscription(evicted);
}

void FreeSlots(dsa_pointer pointer, int capacity) {
  if (!DsaPointerIsValid(pointer)) return;
  const SlotShared* slots = FromArea<SlotShared>(pointer);
  for (int slot = 0; slot < capacity; ++slot)
    if (slots[slot].serial != 0) FreeSubscription(slots[slot].subscription);
  FreeShared(pointer);
}

// Frees all that this backend has in the registry, however it ends.
void OnBackendExit(int, Datum) {
  ConnectionShared* connection = my_connection;
  if (connection == nullptr) return;
  my_connection = nullptr;
  LIVE_QUERIES_FAULT("client-exit");
  AbandonRegistration();
  const uint64_t connection_id = connection->connection_id;
  const uint32 subscriptions = static_cast<uint32>(connection->subscription_count);
  const dsa_pointer slots = connection->slots;
  const int slot_capacity = connection->slot_capacity;
  dsa_pointer mail = InvalidDsaPointer;
  WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    connection->connection_id = 0;
    connection->pid = 0;
    connection->slots = InvalidDsaPointer;
    connection->slot_capacity = 0;
    connection->subscription_count = 0;
    mail = connection->mail_first;
    ResetMailbox(connection);
  });
  RemoveSpillFile(connection_id);
  MarkConnectionDirty(connection);
  ReleasePlaces(connection->database, subscriptions);
  // Last, since it may have to map memory that the decoder has put mail in.
  FreeSlots(slots, slot_capacity);
  FreeBlocks(mail);
}

}  // namespace

void MakeUnguessableName(ChannelName& name) {
  uint8_t random[kChannelRandomBytes];
  if (!pg_strong_random(random, sizeof(random)))
    ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
            errmsg("could not generate a name: no source of strong random numbers"));
  name[FormatChannel(random, name)] = '\0';
}

SubscriptionShared* FindSubscription(const ConnectionShared& connection, uint64_t serial) {
  const int slot = SlotOfSerial(serial);
  if (serial == 0 || !DsaPointerIsValid(connection.slots) || slot >= connection.slot_capacity)
    return nullptr;
  const SlotShared& place = FromArea<SlotShared>(connection.slots)[slot];
  return place.serial == serial ? FromArea<SubscriptionShared>(place.subscription) : nullptr;
}

ConnectionShared* MyConnectionIfAny() { return my_connection; }

ConnectionShared* MyConnection() {
  if (my_connection != nullptr) return my_connection;
  Area();  // attached now, so that the exit need not
  ChannelName channel;
  MakeUnguessableName(channel);
  ConnectionShared* connection = ConnectionAt(ProcIndex(MyProc));
  static bool exit_registered = false;
  if (!exit_registered) {
    before_shmem_exit(OnBackendExit, 0);
    exit_registered = true;
  }
  WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    memcpy(connection->channel, channel, sizeof(channel));
    connection->pid = MyProcPid;
    connection->backend_id = MyBackendNumber();
    connection->database = MyDatabaseId;
    connection->user = GetSessionUserId();
    connection->slots = InvalidDsaPointer;
    connection->slot_capacity = 0;
    connection->free_slot = -1;
    connection->dirty_slot = -1;
    connection->subscription_count = 0;
    ResetMailbox(connection);
    pg_atomic_write_u32(&connection->wake_pending, 0);
    connection->connection_id = pg_atomic_add_fetch_u64(&Control()->connections_created, 1);
  });
  my_connection = connection;
  return connection;
}

uint64_t RegisterSubscription(const NewSubscription& subscription) {
  ConnectionShared* connection = MyConnection();
  DatabaseShared* database = ReservePlace();
  LIVE_QUERIES_FAULT("registry-enter");
  const bool made = MakeSubscription(subscription);
  const dsa_pointer pointer = unfinished.subscription;
  const uint64_t number = pg_atomic_add_fetch_u64(&Control()->subscriptions_created, 1);
  const uint64_t serial = WithLock(connection->lock, LW_EXCLUSIVE, [&]() -> uint64_t {
    if (!made || (connection->free_slot < 0 && !GrowSlots(connection))) return 0;
    SlotShared* slots = FromArea<SlotShared>(connection->slots);
    const int slot = connection->free_slot;
    connection->free_slot = slots[slot].next_free;
    slots[slot].serial = (number << kSlotBits) | static_cast<uint64_t>(slot);
    slots[slot].subscription = pointer;
    FromArea<SubscriptionShared>(pointer)->serial = slots[slot].serial;
    MarkSlotOnList(connection, slots, slot);
    ++connection->subscription_count;
    return slots[slot].serial;
  });
  if (serial == 0) {
    AbandonRegistration();
    RaiseOutOfMemory();
  }
  unfinished = {false, InvalidDsaPointer, InvalidDsaPointer};
  MarkConnectionDirty(connection);
  WakeDecoder(database);
  if (database->decoder_pid == 0) WakeLauncher();  // one that is ending does so itself
  return serial;
}

void AbandonRegistration() {
  const Unfinished abandoned = unfinished;
  unfinished = {false, InvalidDsaPointer, InvalidDsaPointer};
  if (DsaPointerIsValid(abandoned.subscription)) FreeShared(abandoned.subscription);
  if (DsaPointerIsValid(abandoned.definition)) FreeShared(abandoned.definition);
  if (abandoned.counted) ReleasePlaces(MyDatabaseId, 1);
}

void RemoveSubscription(uint64_t serial, bool kept) {
  ConnectionShared* connection = my_connection;
  if (connection == nullptr) return;
  LIVE_QUERIES_FAULT("registry-remove");
  const dsa_pointer removed = WithLock(connection->lock, LW_EXCLUSIVE, [&]() -> dsa_pointer {
    if (FindSubscription(*connection, serial) == nullptr) return InvalidDsaPointer;
    SlotShared* slots = FromArea<SlotShared>(connection->slots);
    const int slot = SlotOfSerial(serial);
    slots[slot].serial = 0;
    slots[slot].next_free = connection->free_slot;
    connection->free_slot = slot;
    MarkSlotOnList(connection, slots, slot);
    --connection->subscription_count;
    return slots[slot].subscription;
  });
  if (!DsaPointerIsValid(removed)) return;
  if (kept)
    KeepTerminated(*connection, removed);
  else
    FreeSubscription(removed);
  MarkConnectionDirty(connection);
  ReleasePlaces(connection->database, 1);
}

void InheritCounters(uint64_t old_serial, uint64_t new_serial) {
  WithLock(my_connection->lock, LW_EXCLUSIVE, [&] {
    const SubscriptionShared* old = FindSubscription(*my_connection, old_serial);
    SubscriptionShared* fresh = FindSubscription(*my_connection, new_serial);
    if (old == nullptr || fresh == nullptr) return;
    fresh->created_at = old->created_at;
    fresh->last_delivered_at = old->last_delivered_at;
    fresh->seq = old->seq;
    fresh->messages = old->messages;
    fresh->changes = old->changes;
    fresh->resets = old->resets;
  });
}

void MarkSlotDirty(ConnectionShared* connection, uint64_t serial) {
  MarkSlotOnList(connection, FromArea<SlotShared>(connection->slots), SlotOfSerial(serial));
}

void MarkConnectionDirty(ConnectionShared* connection) {
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    DatabaseShared* database = FindDatabase(connection->database);
    // A decoder looks at everything when it starts.
    if (database == nullptr || database->decoder_pid == 0) return;
    if (connection->dirty) {
      // Still on the list of the database that this place served before.
      if (connection->dirty_in != database->database) database->all_dirty = true;
      return;
    }
    connection->dirty = true;
    connection->dirty_in = database->database;
    connection->next_dirty = database->dirty_connection;
    database->dirty_connection = connection->proc;
  });
}

void ForgetDirtyConnections(DatabaseShared* database) {
  for (int index = database->dirty_connection; index >= 0;) {
    ConnectionShared* connection = ConnectionAt(index);
    connection->dirty = false;
    index = connection->next_dirty;
  }
  database->dirty_connection = -1;
  database->all_dirty = false;
}

}  // namespace live_queries
