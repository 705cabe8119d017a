// The server's calls for background workers, in the one order that all of ours use them in.
// Process: postmaster, launcher, decoder.
#include "worker/worker_process.hpp"

extern "C" {
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
}

namespace live_queries {

BackgroundWorker DescribeWorker(const char* function, const char* type) {
  BackgroundWorker worker = {};
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
  strlcpy(worker.bgw_library_name, "live_queries", sizeof(worker.bgw_library_name));
  strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
  strlcpy(worker.bgw_type, type, sizeof(worker.bgw_type));
  return worker;
}

void AcceptSignals() {
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
}

void HeadOfLoop() {
  ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
  if (!ConfigReloadPending) return;
  ConfigReloadPending = false;
  ProcessConfigFile(PGC_SIGHUP);
}

void SleepUntilWoken(long timeout_ms, uint32 wait_event) {
  (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms, wait_event);
}

}  // namespace live_queries
