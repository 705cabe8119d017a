// The part of an MVCC snapshot that tells which transactions the first result shows: their changes
// are not delivered once more. Kept by each local subscription, asked by dispatch.cpp. Process:
// client backend.
#pragma once

#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
#include "utils/snapshot.h"
}

namespace live_queries {

struct VisibilityBound {
  bool at_position;  // what committed up to `lsn` is visible, nothing else, and the rest is nothing
  TransactionId xmin;
  TransactionId xmax;
  uint32 running_count;
  TransactionId* running;
  uint64_t lsn;       // what it shows has committed up to here
  TimestampTz clock;  // if at_position: the time that it shows

  // Whether the changes of a message are visible in the snapshot: those of a top-level transaction,
  // or of several, or of the time.
  bool Sees(const RecordHeader& changes) const;
};

// Of a snapshot that stands at a position of the log. Where the query asks the clock, messages may
// have the same position and a later time.
VisibilityBound BoundAtPosition(uint64_t lsn, TimestampTz clock);

// Of `snapshot`, which was taken before the log ended at `lsn`; its array is in `context`.
VisibilityBound BoundOf(Snapshot snapshot, uint64_t lsn, MemoryContext context);

}  // namespace live_queries
