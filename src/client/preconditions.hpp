// Where and when a live query can begin, whatever it asks for. Process: client backend.
#pragma once

#include "model/delivery.hpp"
#include "model/identifiers.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Raises 55000 if nothing can be decoded on this server.
void RequireDecoding();

// Raises 25001 if the transaction has written.
void RequireNothingWritten();

// Raises 42501 in an operation that is not the client's own, 0A000 without a client to notify.
void RequireClient(Delivery delivery);

// Raises 42710 if this connection has a live query of that id, or one whose end is still to be
// told.
void RequireNew(const SubscriptionId& id);

}  // namespace live_queries
