// What the decoder has for each connection and not published yet. Process: decoder.
#pragma once

#include <span>

#include "deliver/mailbox.hpp"
#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"
#include "template/template.hpp"

namespace live_queries {

// A connection as the decoder knows it.
struct LocalConnection {
  uint64_t id;  // 0: none
  Subscriber** slots;
  int slot_capacity;
  StringInfoData staged;  // records
  SpillWriter spill;
  bool touched;
  LocalConnection* next_touched;
};

// Prepares the array of connections, below `context`.
void PrepareOutboxes(MemoryContext context);
LocalConnection* LocalConnectionAt(int index);

// Stages a record for one subscription; large ones go to the spill file at once.
void StageRecord(Subscriber* subscriber, const RecordHeader& header, std::string_view body);

// Publishes what is staged, each connection's at once, and wakes them. Returns the number of
// records. Never leaves anything staged.
uint64 PublishStaged();
// Forgets what is staged.
void AbandonStaged();

// Forgets a connection that ended; its subscribers are gone already.
void ForgetConnection(int index);

}  // namespace live_queries
