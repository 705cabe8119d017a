// Ending subscriptions of others. Process: any.
#pragma once

#include "pg/postgres.hpp"
#include "registry/connection.hpp"

namespace live_queries {

// Ends one subscription, if it is still there: its client is told, the decoder forgets it. Returns
// whether it was there.
bool TerminateSubscription(ConnectionShared* connection, uint64_t connection_id, uint64_t serial,
                           int sqlstate, const char* reason);

// The extension was dropped in this database: its subscriptions are to be ended. Never ereports, as
// the transaction has committed.
void NoteExtensionDropped();

// Ends the subscriptions of a database in which that has happened. Process: launcher.
void TerminateDropped(DatabaseShared* database);

}  // namespace live_queries
