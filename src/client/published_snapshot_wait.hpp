// The snapshot of an evaluator, for a first result. Process: client backend, in a transaction.
#pragma once

#include "pg/postgres.hpp"
#include "registry/consumer.hpp"

extern "C" {
#include "access/xlogdefs.h"
}

namespace live_queries {

// Makes what the evaluator `consumer` of this database has published the active snapshot; the
// caller pops it. Returns its position: whatever committed up to there is seen, and nothing else.
// Waits if there is none just now; raises 57014 after `timeout_ms`. Parallel workers may not be
// used under it, nor young indexes: plan in WithOldIndexesOnly.
XLogRecPtr PushSnapshotOf(int consumer, int64 timeout_ms);

}  // namespace live_queries
