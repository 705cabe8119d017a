// Waiting for a consumer of this database: until it runs, has attached a subscription, has passed a
// position of the log, or has a snapshot at one. Called by live.subscribe, live.refresh and
// live.wait_for. Process: client backend.
#pragma once

#include <optional>

#include "pg/postgres.hpp"
#include "registry/published_snapshot.hpp"

extern "C" {
#include "access/xlogdefs.h"
}

namespace live_queries {

// Returns once that one runs. Says, after a second, which transactions it waits for. Raises why it
// cannot run, or 57014 after live_queries.subscribe_timeout.
void WaitForConsumer(int index);

// Returns once its consumer has attached this backend's subscription; gives the position that it
// had published then, or nothing if what the query names may have changed since it was analysed.
// Raises the same, and the consumer's reason if it refuses.
std::optional<uint64_t> WaitForAttachment(int index, uint64_t serial, uint64_t* values_here);

// Makes a snapshot that the evaluator or refresher has published the active one; the caller pops
// it. Returns its moment, at position `at_least` or behind it: whatever committed up to there is
// seen, and nothing else. With `at_time`, of a refresher, it is not before that of its evaluator.
// Parallel workers may not be used under it, nor young indexes: plan in WithOldIndexesOnly. Raises
// 57014 after live_queries.subscribe_timeout.
PublishedMoment PushSnapshotOf(int evaluator, XLogRecPtr at_least, bool at_time = false);

// Returns once all that committed up to `lsn`, a position in the log, is in this connection's
// mailbox, whichever of the consumers that it has live queries of puts it there. Calls
// `lost` for one that is not there any more, so that messages may be lost. Raises 57014 after
// live_queries.subscribe_timeout.
void WaitForPublication(XLogRecPtr lsn, void (*lost)(int consumer));

// Returns once all that committed up to `lsn` (invalid: now) is in this connection's mailbox,
// whichever of the consumers that it has live queries of puts it there; false after `timeout_ms`.
bool WaitForPosition(XLogRecPtr lsn, int64 timeout_ms);

}  // namespace live_queries
