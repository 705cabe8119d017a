// Takes the snapshot, again and again if need be: the evaluator has none published for the moments
// in which it changes its transaction. Process: client backend.
#include "client/published_snapshot_wait.hpp"

#include "pg/compat.hpp"
#include "registry/database.hpp"

extern "C" {
#include "storage/latch.h"
}

namespace live_queries {

XLogRecPtr PushSnapshotOf(int consumer, int64 timeout_ms) {
  constexpr long kPollMs = 1;
  DatabaseShared* database = FindDatabase(MyDatabaseId);
  const TimestampTz start = GetCurrentTimestamp();
  for (;;) {
    if (database != nullptr) {
      const std::optional<XLogRecPtr> position =
          PushPublishedSnapshot(&database->consumers[consumer].snapshot);
      if (position) return *position;
    }
    CHECK_FOR_INTERRUPTS();
    if (TimestampDifferenceMilliseconds(start, GetCurrentTimestamp()) >= timeout_ms)
      ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED),
              errmsg("live_queries has no snapshot to read a first result under"),
              errhint("SELECT * FROM live.workers shows what the evaluator is doing."));
    (void)WaitLatch(nullptr, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kPollMs,
                    WaitEventPublishedSnapshot());
  }
}

}  // namespace live_queries
