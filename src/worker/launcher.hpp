// Starts decoders where there are subscriptions. worker/README.md draws the states. Process:
// postmaster (registration), launcher.
#pragma once

namespace live_queries {

// Registers the launcher with the postmaster. From _PG_init.
void RegisterLauncher();

}  // namespace live_queries
