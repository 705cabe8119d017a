// Copies from a snapshot what is needed to ask whether it sees a transaction, after the snapshot
// itself has gone. Process: client backend.
#include "deliver/visibility_bound.hpp"

extern "C" {
#include "access/transam.h"
}

namespace live_queries {

bool VisibilityBound::Sees(const RecordHeader& changes) const {
  if (at_position)
    return changes.seq < lsn || (changes.seq == lsn && changes.committed_at <= clock);
  const TransactionId xid = changes.xid;
  if (changes.seq > lsn || !TransactionIdIsNormal(xid)) return false;
  if (TransactionIdPrecedes(xid, xmin)) return true;
  if (!TransactionIdPrecedes(xid, xmax)) return false;
  for (uint32 i = 0; i < running_count; ++i)
    if (running[i] == xid) return false;
  return true;
}

VisibilityBound BoundAtPosition(uint64_t lsn, TimestampTz clock) {
  VisibilityBound bound = {};
  bound.at_position = true;
  bound.lsn = lsn;
  bound.clock = clock;
  return bound;
}

VisibilityBound BoundOf(Snapshot snapshot, uint64_t lsn, MemoryContext context) {
  VisibilityBound bound = {};
  bound.xmin = snapshot->xmin;
  bound.xmax = snapshot->xmax;
  bound.running_count = snapshot->xcnt;
  bound.running = static_cast<TransactionId*>(
      MemoryContextAlloc(context, sizeof(TransactionId) * (snapshot->xcnt + 1)));
  // Where nothing runs, the server leaves the array away.
  if (snapshot->xcnt > 0)
    memcpy(bound.running, snapshot->xip, sizeof(TransactionId) * snapshot->xcnt);
  bound.lsn = lsn;
  return bound;
}

}  // namespace live_queries
