// The end of each transaction and savepoint: what it did to live queries is undone or made true, and
// messages go out. Process: client backend.
#pragma once

namespace live_queries {

// Installs the transaction callbacks. In every process, from _PG_init.
void InstallTransactionEnd();

}  // namespace live_queries
