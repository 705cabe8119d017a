// Ending subscriptions of others. Process: any.
#pragma once

#include "pg/postgres.hpp"
#include "registry/connection.hpp"

namespace live_queries {

// Ends one subscription, if it is still there: its client is told, the decoder forgets it. Returns
// whether it was there.
bool TerminateSubscription(ConnectionShared* connection, uint64_t connection_id, uint64_t serial,
                           int sqlstate, const char* reason);

// Ends all subscriptions in a database. Never ereports.
void TerminateDatabase(Oid database, int sqlstate, const char* reason);

}  // namespace live_queries
