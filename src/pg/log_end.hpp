// The end of the write-ahead log, as a position that can be flushed and read up to. Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
}

namespace live_queries {

// The end of what is in the log. Unlike GetXLogInsertRecPtr, not behind the header of a page that
// nothing was written to yet: that could not be flushed.
inline XLogRecPtr LogEnd() {
  const XLogRecPtr end = GetXLogInsertRecPtr();
  const XLogRecPtr in_page = end % XLOG_BLCKSZ;
  const bool first_page = XLogSegmentOffset(end, wal_segment_size) < XLOG_BLCKSZ;
  return in_page == (first_page ? SizeOfXLogLongPHD : SizeOfXLogShortPHD) ? end - in_page : end;
}

}  // namespace live_queries
