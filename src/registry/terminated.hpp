// Subscriptions that are over, for the view: a ring of fixed size, to which each goes the moment it
// ends, with texts that are cut. Its definition, which may be large, is freed then, whether its
// client ever hears of the end or not. Guarded by ControlLock. Process: any.
#pragma once

#include "registry/connection.hpp"

namespace live_queries {

// How many the view still shows, and how much of each text.
inline constexpr int kTerminatedKept = 64;
inline constexpr size_t kKeptTextBytes = 1024;

struct TerminatedShared {
  SubscriptionShared subscription;  // serial 0: unused; without what is in the area
  ProblemShared problem;
  uint64_t connection_id;
  pid_t pid;
  char query[kKeptTextBytes];
  char params[kKeptTextBytes];  // as in the definition: text[] literals
  char tables[kKeptTextBytes];
};

struct TerminatedRingShared {
  int next;
  TerminatedShared kept[kTerminatedKept];
};

TerminatedRingShared* TerminatedRing();

// Puts a subscription that has just ended in the place of the oldest, frees its definition, and
// gives its place among the live ones back. The caller holds the connection's lock exclusively, and
// has mapped the definition. Never ereports.
void RetireSubscription(ConnectionShared* connection, SubscriptionShared* subscription);

// What its client was still told after that counts as well. Never ereports.
void UpdateTerminated(const SubscriptionShared& subscription);

}  // namespace live_queries
