// The library's entry, _PG_init: a list of what it defines and installs. Called by the server where
// it loads the library, and any process inherits the hooks. Process: postmaster.
#include "client/commit_wakeup.hpp"
#include "client/first_result.hpp"
#include "client/transaction_end.hpp"
#include "client/utility_hook.hpp"
#include "evaluate/old_indexes.hpp"
#include "pg/fault.hpp"
#include "pg/postgres.hpp"
#include "pg/settings.hpp"
#include "registry/layout.hpp"
#include "sql_api/view_conditions.hpp"
#include "worker/launcher.hpp"

extern "C" {
PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);
}

void _PG_init(void) {
  // Loaded later, the functions say that the library must be preloaded.
  if (!process_shared_preload_libraries_in_progress) return;
#ifdef LIVE_QUERIES_FAULTS
  live_queries::DefineFaultSettings();
#endif
  live_queries::DefineSettings();
  live_queries::InstallSharedMemoryHooks();
  live_queries::InstallTransactionEnd();
  live_queries::InstallCommitWakeup();
  live_queries::InstallUtilityHook();
  live_queries::InstallFirstResultHook();
  live_queries::InstallIndexAgeHook();
  live_queries::InstallViewConditions();
  live_queries::RegisterLauncher();
}
