// The consumer's end of the spill file of one lane: writes records whole, each with its body, past
// what is published. Where they may go, and whether they are published, is decided under the
// connection's lock (mailbox.cpp). Process: a consumer.
#pragma once

#include <span>

#include "deliver/staged_body.hpp"
#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "storage/fd.h"
}

namespace live_queries {

// Records of one subscription that were spilled ahead, to be counted when they are published.
struct AheadCount {
  AheadCount* next;
  uint64_t serial;
  uint64_t messages;
  uint64_t bytes;
};

// Of one connection, from its first record that is spilled on.
struct SpillWriter {
  File file = -1;
  uint64_t ahead = 0;            // bytes written past spill_write, not published yet
  AheadCount* counts = nullptr;  // of them; palloc'ed
  bool failed = false;
};

// Writes them at `offset`, as WholeBytes of them. False, with a log line, if it cannot. May ereport
// out of memory of its own.
bool WriteSpill(uint64_t connection_id, uint64_t offset, std::span<const StagedRecord> records,
                SpillWriter* writer);

// Counts a record that is spilled ahead, in the current memory context. May ereport.
void CountAhead(SpillWriter* writer, const RecordHeader& header);
// What was spilled ahead is published, or was in vain.
void NothingAhead(SpillWriter* writer);

void CloseSpill(SpillWriter* writer);

}  // namespace live_queries
