// Ends those to blame. Process: decoder, evaluator.
#include "worker/blame.hpp"

#include "deliver/outbox.hpp"
#include "registry/consumer.hpp"
#include "subscribers/attaching.hpp"
#include "subscribers/resetting.hpp"
#include "template/template_table.hpp"

extern "C" {
#include "storage/lock.h"
}

namespace live_queries {

void SettleFailure(const GuardFailure& failure, ErrorData* error) {
  AbandonStaged();
  const Blame& blame = failure.blame;
  if (blame.owner == nullptr) ReThrowError(error);
  MyConsumer()->errors.Add(1);
  // Freed with its last subscriber below: nothing compiled may be used after an error in it.
  DropPart(blame.owner);
  // It may be innocent: the next attempt resets what the role still has in this turn.
  if (!failure.role_timed_out) EndThoseToBlame(failure);
}

void BlameForEnd() {
  const GuardFailure failure = FailureAtExit();
  if (failure.blame.owner == nullptr) return;
  MemoryContextSwitchTo(TopMemoryContext);
  if (failure.blame.doing == Doing::kAttaching)
    RefuseAttachingAtExit(failure);
  else
    EndThoseToBlameAtExit(failure);
}

void ReleaseSessionLocks() { LockReleaseSession(USER_LOCKMETHOD); }

}  // namespace live_queries
