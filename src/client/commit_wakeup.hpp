// What a writer does for live queries at commit: one shared read, and if someone is subscribed in
// its database, a SetLatch for each consumer. Process: any that commits.
#pragma once

namespace live_queries {

// Installs the transaction callback. From _PG_init.
void InstallCommitWakeup();

// Says that this transaction commits a prepared one, which leaves no trace of its own.
void NoteCommitPrepared();

}  // namespace live_queries
