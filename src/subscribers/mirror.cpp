// The mirror: an array of connections, each with an array of its slots, as the registry numbers
// them. Process: decoder.
#include "subscribers/mirror.hpp"

#include "pg/memory.hpp"
#include "registry/connection.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {
namespace {

// The server's allocator gives powers of two: a byte more would take twice as much.
static_assert(sizeof(Subscriber) <= 64);

MemoryContext mirror_context = nullptr;
MirroredConnection* mirrors = nullptr;

void GrowSlots(MirroredConnection* connection, int slot) {
  if (slot < connection->slot_capacity) return;
  int capacity = connection->slot_capacity == 0 ? 4 : connection->slot_capacity;
  while (capacity <= slot) capacity *= 2;
  Subscriber** grown = static_cast<Subscriber**>(
      MemoryContextAllocZero(mirror_context, sizeof(Subscriber*) * capacity));
  if (connection->slots != nullptr) {
    memcpy(grown, connection->slots, sizeof(Subscriber*) * connection->slot_capacity);
    pfree(connection->slots);
  }
  connection->slots = grown;
  connection->slot_capacity = capacity;
}

}  // namespace

void PrepareMirrors(MemoryContext context) {
  mirror_context = AllocSetContextCreate(context, "live_queries mirror", ALLOCSET_DEFAULT_SIZES);
  mirrors = static_cast<MirroredConnection*>(
      MemoryContextAllocZero(mirror_context, sizeof(MirroredConnection) * ConnectionCapacity()));
  for (int index = 0; index < ConnectionCapacity(); ++index) mirrors[index].index = index;
}

MirroredConnection* MirrorAt(int index) { return &mirrors[index]; }

void BecomeConnection(MirroredConnection* connection, uint64_t id) {
  for (int slot = 0; slot < connection->slot_capacity; ++slot)
    if (connection->slots[slot] != nullptr) RemoveSubscriber(connection->slots[slot]);
  if (connection->slots != nullptr) pfree(connection->slots);
  *connection = {connection->index, id, nullptr, 0};
}

Subscriber* SubscriberAt(const MirroredConnection& connection, int slot) {
  return slot < connection.slot_capacity ? connection.slots[slot] : nullptr;
}

Subscriber* AddSubscriber(MirroredConnection* connection, uint64_t serial, Route* route) {
  const int slot = SlotOfSerial(serial);
  GrowSlots(connection, slot);
  Subscriber* subscriber = AllocateIn<Subscriber>(mirror_context);
  subscriber->connection = connection;
  subscriber->serial = serial;
  connection->slots[slot] = subscriber;
  JoinRoute(subscriber, route);
  return subscriber;
}

void RemoveSubscriber(Subscriber* subscriber) {
  LeaveRoute(subscriber);
  subscriber->connection->slots[SlotOfSerial(subscriber->serial)] = nullptr;
  if (subscriber->values != nullptr) pfree(subscriber->values);
  pfree(subscriber);
}

}  // namespace live_queries
