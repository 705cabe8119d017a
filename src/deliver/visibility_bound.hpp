// The part of an MVCC snapshot that tells which transactions the first result shows: their changes
// are not delivered once more. Kept by each local subscription, asked by dispatch.cpp. Process:
// client backend.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "utils/snapshot.h"
}

namespace live_queries {

struct VisibilityBound {
  bool at_position;  // what committed up to `lsn` is visible, nothing else, and the rest is nothing
  TransactionId xmin;
  TransactionId xmax;
  uint32 running_count;
  TransactionId* running;
  uint64_t lsn;  // what it shows has committed up to here

  // Whether a top-level transaction is visible in the snapshot.
  bool Sees(TransactionId xid, uint64_t commit_lsn) const;
};

// Of a snapshot that stands at a position of the log.
VisibilityBound BoundAtPosition(uint64_t lsn);

// Of `snapshot`, which was taken just now, and the end of the log; its array is in `context`.
VisibilityBound BoundOf(Snapshot snapshot, MemoryContext context);

}  // namespace live_queries
