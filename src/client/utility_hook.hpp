// The commands that live queries must know of: UNLISTEN and DISCARD ALL, COMMIT PREPARED, DROP
// DATABASE and the like, DROP EXTENSION. Process: any that executes commands.
#pragma once

namespace live_queries {

// Installs the hooks. From _PG_init.
void InstallUtilityHook();

}  // namespace live_queries
