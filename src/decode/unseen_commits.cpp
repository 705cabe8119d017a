// The two waits. Process: decoder, evaluator.
#include "decode/unseen_commits.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "storage/latch.h"
#include "storage/procarray.h"
}

namespace live_queries {

void PauseForVisibility() {
  constexpr long kPollMs = 1;
  CHECK_FOR_INTERRUPTS();
  (void)WaitLatch(nullptr, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kPollMs, WaitEventVisibility());
}

// As a checkpoint does (CreateCheckPoint in xlog.c).
void WaitForCommitLog() {
  int waiting = 0;
  VirtualTransactionId* committing = GetVirtualXIDsDelayingChkpt(&waiting, DELAY_CHKPT_START);
  while (waiting > 0 && HaveVirtualXIDsDelayingChkpt(committing, waiting, DELAY_CHKPT_START))
    PauseForVisibility();
  pfree(committing);
}

}  // namespace live_queries
