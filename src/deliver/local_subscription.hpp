// What a client's backend knows of its own subscriptions: the list of them, and what is held for
// each. Its transactions change it (client/session.hpp), and so does delivery. Process: client
// backend.
#pragma once

#include "deliver/record_queue.hpp"
#include "deliver/visibility_bound.hpp"
#include "model/delivery.hpp"
#include "model/flow_control.hpp"
#include "model/identifiers.hpp"
#include "pg/postgres.hpp"
#include "pg/session_identity.hpp"

namespace live_queries {

// How far the client has read the first result, for client/first_result.cpp.
struct FirstResult {
  char cursor[NAMEDATALEN];  // "": none, or read to its end
  char copy[NAMEDATALEN];    // of the cursor, whose rows are being stored or were
  uint64_t read;             // of the rows that are in its store
  uint64_t place;            // of the store's next row
  bool complete;             // read to its end, if the running transaction commits
};

// Lives in a memory context of its own, below TopMemoryContext.
struct LocalSubscription {
  MemoryContext context;
  LocalSubscription* next;
  uint64_t serial;  // 0: not registered
  SubscriptionId id;
  int consumer;
  Delivery delivery;
  Oid role;
  SessionIdentity session;
  FlowControl flow;
  VisibilityBound bound;
  FirstResult first;
  char* query;
  List* params;
  char* settings;  // query/settings_capture.hpp
  RecordQueue* held;
  bool over;          // its last message is on its way: remove it
  bool leaves_queue;  // poll_queue.cpp: the queue that is being sorted has messages of it
  // Not in shared memory yet.
  uint64_t taken_messages;
  uint64_t taken_bytes;
  uint64_t delivered_messages;
  uint64_t delivered_changes;
  uint64_t delivered_resets;
  uint64_t delivered_seq;
};

// The room for what is held of all of them.
extern HeldBudget held_budget;

// The subscription of that id that is not leaving, or nullptr.
LocalSubscription* FindLocal(const SubscriptionId& id);
// The same by serial, those that are leaving included.
LocalSubscription* FindLocal(uint64_t serial);
LocalSubscription* FirstLocal();

// One that is in no list yet.
LocalSubscription* MakeLocal(const SubscriptionId& id, Delivery delivery);
// Adds it. Never ereports.
void Link(LocalSubscription* subscription);
// Says that it is registered, under that serial.
void SetSerial(LocalSubscription* subscription, uint64_t serial);
// Removes it, here and in the registry, with all that is held for it. `kept`: see
// RemoveSubscription. Never ereports.
void Remove(LocalSubscription* subscription, bool kept);

// Throws away all that is held for it. Never ereports.
void DiscardHeld(LocalSubscription* subscription);

}  // namespace live_queries
