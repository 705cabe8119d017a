// How the extension's shared memory is laid out: asks the server for it, and begins each part of
// it. Process: postmaster.
#pragma once

namespace live_queries {

// Asks for shared memory and locks, and initialises them. From _PG_init.
void InstallSharedMemoryHooks();

}  // namespace live_queries
