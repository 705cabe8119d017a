// What several messages of a subscription come to: one change for each row of the result that is
// another one after the last of them than before the first. Those of a list (ORDER BY ... LIMIT)
// stay what they are. Called by throttle.cpp. Process: client backend.
#pragma once

#include "deliver/record_queue.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Whether rows are told whole, also in a delete, and what was changed in an update; or of old rows
// no more than the replica identity.
enum class OldRows : uint8_t { kWhole, kIdentity };

struct NetSize {
  uint64_t messages;
  uint64_t changes;
};

// Reads all that is unread in `from`, changes of one subscription from first to last, and appends
// to `to` what they come to, if anything, as messages of that position; of the last one's if it is
// 0. They are split where they become too long. Where any change has a position, which is that
// after its own message and tells nothing without the rows around it, they are appended one by one
// as they are, with that position of the log. What it needs meanwhile is in CurrentMemoryContext.
// Returns how much was appended. May ereport, with some of it appended.
NetSize AppendNet(RecordQueue* from, OldRows old_rows, uint64_t seq, RecordQueue* to);

}  // namespace live_queries
