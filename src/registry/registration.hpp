// What a client's backend does in the registry: it has a connection there, enters and removes its
// subscriptions, and frees all of that when it ends. Process: client backend.
#pragma once

#include "registry/connection.hpp"

namespace live_queries {

// This backend's connection, made at the first call. May ereport. Ends with the backend.
ConnectionShared* MyConnection();

struct NewSubscription {
  SubscriptionId id;
  int consumer;
  uint64_t replaces;  // one of this connection's, which will go with this transaction. 0: none
  Delivery delivery;
  Strategy strategy;
  Oid role;
  SessionIdentity session;
  uint64_t analysed_at;
  uint64_t values_here;
  int sent_back;
  std::string_view fields[kDefinitionFields];
};

// Enters a subscription into the registry and tells its consumer (and the launcher). Raises 53200,
// 53400 or the like if there is no room. Returns its serial.
uint64_t RegisterSubscription(const NewSubscription& subscription);

// Gives back what a RegisterSubscription that raised an error had made. Never ereports.
void AbandonRegistration();

// Removes a subscription of this backend and tells its consumer. Never ereports. If it is `kept`,
// its client has been told that it is over, which the view shows for a while. `problem`, if given:
// why it has ended already, if it has.
void RemoveSubscription(uint64_t serial, bool kept, ProblemShared* problem = nullptr);

// Lets a subscription that begins anew go on counting where the old one is. Never ereports.
void InheritCounters(uint64_t old_serial, uint64_t new_serial);

}  // namespace live_queries
