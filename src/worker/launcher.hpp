// Starts decoders where there are subscriptions. worker/README.md draws the states. Process:
// postmaster (registration), launcher.
#pragma once

namespace live_queries {

// Registers the launcher with the postmaster. From _PG_init.
void RegisterLauncher();

// False if the postmaster had no place for it: then no decoder ever starts. Any process.
bool LauncherIsRegistered();

}  // namespace live_queries
