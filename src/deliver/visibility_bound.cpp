// Copies from a snapshot what is needed to ask whether it sees a transaction, after the snapshot
// itself has gone. Process: client backend.
#include "deliver/visibility_bound.hpp"

extern "C" {
#include "access/transam.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
}

namespace live_queries {
namespace {

// The end of what is in the log. Unlike GetXLogInsertRecPtr, not behind the header of a page that
// nothing was written to yet: that could not be flushed.
XLogRecPtr LogEnd() {
  const XLogRecPtr end = GetXLogInsertRecPtr();
  const XLogRecPtr in_page = end % XLOG_BLCKSZ;
  const bool first_page = XLogSegmentOffset(end, wal_segment_size) < XLOG_BLCKSZ;
  return in_page == (first_page ? SizeOfXLogLongPHD : SizeOfXLogShortPHD) ? end - in_page : end;
}

}  // namespace

bool VisibilityBound::Sees(TransactionId xid, uint64_t commit_lsn) const {
  if (commit_lsn > lsn || !TransactionIdIsNormal(xid)) return false;
  if (TransactionIdPrecedes(xid, xmin)) return true;
  if (!TransactionIdPrecedes(xid, xmax)) return false;
  for (uint32 i = 0; i < running_count; ++i)
    if (running[i] == xid) return false;
  return true;
}

VisibilityBound BoundOf(Snapshot snapshot, MemoryContext context) {
  VisibilityBound bound = {snapshot->xmin, snapshot->xmax, snapshot->xcnt, nullptr, 0};
  bound.running = static_cast<TransactionId*>(
      MemoryContextAlloc(context, sizeof(TransactionId) * (snapshot->xcnt + 1)));
  // Where nothing runs, the server leaves the array away.
  if (snapshot->xcnt > 0)
    memcpy(bound.running, snapshot->xip, sizeof(TransactionId) * snapshot->xcnt);
  bound.lsn = LogEnd();
  return bound;
}

}  // namespace live_queries
