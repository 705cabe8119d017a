// A connection's mailbox: records (model/mailbox_record.hpp) that consumers put, each into its
// lane, and the client's backend takes. A list of blocks in shared memory; when those of all lanes
// reach live_queries.mailbox_size, a spill file; when these reach live_queries.spill_size,
// everything further is thrown away and the lane is marked as overflowed. deliver/README.md draws
// it. Called by outbox.cpp and dispatch.cpp. Process: a consumer (puts), client backend (takes).
#pragma once

#include <array>
#include <span>

#include "deliver/spill_writer.hpp"
#include "deliver/staged_body.hpp"
#include "pg/postgres.hpp"
#include "registry/connection.hpp"
#include "registry/mail_storage.hpp"

extern "C" {
#include "storage/fd.h"
}

namespace live_queries {

// ----- a consumer, into its lane -----

enum class PutResult : uint8_t {
  kPut,
  kGone,        // the connection ended
  kOverflowed,  // thrown away; the backend will reset the lane's subscriptions
};

// Publishes `records`, and before them what was spilled ahead, at once. Counts them in their
// subscriptions. May ereport, out of memory alone: then nothing was published.
PutResult PutRecords(ConnectionShared* connection, uint64_t connection_id,
                     std::span<const StagedRecord> records, SpillWriter* writer);

// Writes records of a transaction that is too large for memory to the spill file, unpublished.
// Counts them, in the current memory context. May ereport.
void SpillAhead(ConnectionShared* connection, uint64_t connection_id,
                std::span<const StagedRecord> records, SpillWriter* writer);

// Forgets what was spilled ahead (the batch is done again) and closes nothing.
void AbandonAhead(ConnectionShared* connection, uint64_t connection_id, SpillWriter* writer);

// ----- client backend, on its own connection -----

// What was taken out of a lane and not processed yet. Survives errors: nothing is lost if the
// transaction that processes it fails.
struct Inbox {
  dsa_pointer block = InvalidDsaPointer;  // first block, the rest linked
  uint64_t offset = 0;                    // of the next record in it
  uint64_t spill_read = 0;
  uint64_t spill_end = 0;
  bool overflowed = false;  // after all of the above
};

// Of all lanes, each at the index of its consumer.
using Inboxes = std::array<Inbox, kMaxConsumers>;

// Takes all that is there, of each lane whose inbox is not among those that are unread. Returns of
// which lanes it was something.
IndexSet TakeMail(ConnectionShared* connection, IndexSet unread, Inboxes* inboxes);

// Gives back the space of the lane's spill file once all of its inbox is processed.
void ReleaseSpill(ConnectionShared* connection, int consumer, const Inbox& inbox);

// Opens the spill file of this connection's lane for reading. May ereport.
File OpenSpillForReading(uint64_t connection_id, int consumer);

// Reads a piece of it, from where `inbox` is: palloc'ed, and at least one whole record unless that
// is damaged. May ereport.
std::span<const std::byte> ReadSpill(File file, const Inbox& inbox);

}  // namespace live_queries
