// The end of each transaction and savepoint of a client: what it did to live queries is undone or
// made true, and messages go out. Installed by _PG_init, called by the server. Process: client
// backend.
#pragma once

namespace live_queries {

// Installs the transaction callbacks. In every process, from _PG_init.
void InstallTransactionEnd();

}  // namespace live_queries
