// What a worker knows of the registry: the connections of its database, and the subscribers of
// each. registry_sync.cpp keeps it up to date; deliver/outbox.cpp and what resets subscribers look
// them up. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "subscribers/subscriber.hpp"

namespace live_queries {

struct MirroredConnection {
  int index;           // of the ConnectionShared
  uint64_t id;         // 0: none
  Subscriber** slots;  // beside those of the ConnectionShared; nullptr: not attached
  int slot_capacity;
};

// Prepares the mirrors of all connections, below `context`.
void PrepareMirrors(MemoryContext context);
MirroredConnection* MirrorAt(int index);

// What is there is that of another connection from now on, or of none (0). Never ereports.
void BecomeConnection(MirroredConnection* connection, uint64_t id);

// The subscriber in that slot, or nullptr.
Subscriber* SubscriberAt(const MirroredConnection& connection, int slot);

// Puts a new subscriber into its slot, which is free, to listen at `route`.
Subscriber* AddSubscriber(MirroredConnection* connection, uint64_t serial, Route* route);
// Frees it, and its route, and its template, where it was the last one. Never ereports.
void RemoveSubscriber(Subscriber* subscriber);

}  // namespace live_queries
