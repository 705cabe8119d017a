// The held messages of all subscriptions that may have them now, in the order in which they would
// have come: then `more` is true until all of them show one transaction. Used by dispatch.cpp.
// Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "lib/binaryheap.h"
}

namespace live_queries {

struct HeldMessage {
  LocalSubscription* subscription;
  RecordView record;  // read from its queue, and for the caller to forget there
  bool more;          // the next one is of the same transaction
};

// Begins with what is oldest, by live.poll or by notifications. In CurrentMemoryContext; nullptr:
// nothing is held.
binaryheap* MergeHeld(Delivery delivery);
// False if none is left. What the caller discards is passed by.
bool NextHeld(binaryheap* sources, HeldMessage* message);

}  // namespace live_queries
