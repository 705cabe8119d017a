// How far consumers are, and who waits for that: a connection with live queries of several shows
// what one of them has put only once the others have passed it, and must be woken then. README.md
// says why nobody is forgotten. Process: each function says which.
#pragma once

#include "registry/connection.hpp"

namespace live_queries {

// ----- the consumer -----

// All that committed up to `position` is in the mailboxes, or will never be. Wakes those who wait
// for it. Never ereports.
void PublishPosition(uint64_t position);

// Wakes all who wait for this consumer, which has ended, as its state says. Never ereports.
void ReleaseWaiters();

// ----- client backend -----

// Whether more may come from `consumer` that committed up to `position`: then WakeConnection is
// called for this connection once that is over, or earlier if it awaits less as well. One that does
// not run is no bound: what it has not put is lost, and its subscriptions are to be reset. Never
// ereports.
bool AwaitPosition(ConsumerShared* consumer, uint64_t position);

}  // namespace live_queries
