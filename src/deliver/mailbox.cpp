// Puts records into a lane of a mailbox and takes them out: which of them go to memory
// (mail_block.hpp) and which to the spill file (spill_writer.hpp), and who may write where while
// nobody holds the lock. Process: a consumer (puts), client backend (takes).
#include "deliver/mailbox.hpp"

#include <unistd.h>

#include "deliver/mail_block.hpp"
#include "model/mailbox_record.hpp"
#include "pg/fault.hpp"
#include "pg/files.hpp"
#include "pg/settings.hpp"
#include "registry/mail_storage.hpp"

extern "C" {
#include "common/file_perm.h"
}

namespace live_queries {
namespace {

LaneShared* MyLane(ConnectionShared* connection) { return &connection->lanes[MyConsumer()->index]; }

// Starts the spill file over once all of it has been read. The caller holds the lock.
void ReuseSpill(LaneShared* lane, const SpillWriter& writer) {
  if (lane->spill_read != lane->spill_write || writer.ahead > 0) return;
  lane->spill_read = 0;
  lane->spill_write = 0;
  lane->spill_reserved = 0;
}

// Whether so much more fits into the spill files, which is reserved then. The caller holds the
// lock.
bool ReserveSpill(ConnectionShared* connection, size_t bytes) {
  if (MailInFiles(*connection) + bytes > spill_size_kb * kKilobyte) return false;
  MyLane(connection)->spill_reserved += bytes;
  return true;
}

// Counts published records in their subscriptions. The caller holds the lock.
void CountRecords(const ConnectionShared& connection, std::span<const StagedRecord> records) {
  for (const StagedRecord& record : records) {
    SubscriptionShared* subscription =
        FindSubscription(connection, record.header.subscription_serial);
    if (subscription == nullptr) continue;
    ++subscription->messages_put;
    subscription->bytes_put += record.header.body_bytes;
  }
}

// The same for those that were spilled ahead.
void CountAheadRecords(const ConnectionShared& connection, const SpillWriter& writer) {
  for (const AheadCount* count = writer.counts; count != nullptr; count = count->next) {
    SubscriptionShared* subscription = FindSubscription(connection, count->serial);
    if (subscription == nullptr) continue;
    subscription->messages_put += count->messages;
    subscription->bytes_put += count->bytes;
  }
}

}  // namespace

PutResult PutRecords(ConnectionShared* connection, uint64_t connection_id,
                     std::span<const StagedRecord> records, SpillWriter* writer) {
  enum class Step : uint8_t { kDone, kGone, kSpill, kOverflow };
  const size_t bytes = WholeBytes(records);
  uint64_t offset = 0;
  LIVE_QUERIES_FAULT("mailbox-put");
  const Step step = WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    if (connection->connection_id.Load() != connection_id) return Step::kGone;
    LaneShared* lane = MyLane(connection);
    if (lane->overflowed || writer->failed) return Step::kOverflow;
    ReuseSpill(lane, *writer);
    const bool spilling = lane->spill_write > lane->spill_read || writer->ahead > 0;
    if (!spilling && PutInMemory(connection, MyConsumer()->index, records)) {
      CountRecords(*connection, records);
      return Step::kDone;
    }
    offset = lane->spill_reserved;
    return ReserveSpill(connection, bytes) ? Step::kSpill : Step::kOverflow;
  });
  if (step == Step::kGone) return PutResult::kGone;
  if (step == Step::kDone) return PutResult::kPut;
  if (step == Step::kSpill)
    LIVE_QUERIES_FAULT("mailbox-spill");
  else
    LIVE_QUERIES_FAULT("mailbox-full");
  const bool written = step == Step::kSpill && WriteSpill(connection_id, offset, records, writer);
  const PutResult result = WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    if (connection->connection_id.Load() != connection_id) return PutResult::kGone;
    LaneShared* lane = MyLane(connection);
    if (!written) {
      lane->spill_reserved = lane->spill_write;
      NoteOverflow(connection, MyConsumer()->index);
      return PutResult::kOverflowed;
    }
    lane->spill_write = lane->spill_reserved;
    connection->mail_lanes.Add(MyConsumer()->index);
    CountAheadRecords(*connection, *writer);
    CountRecords(*connection, records);
    return PutResult::kPut;
  });
  NothingAhead(writer);
  return result;
}

void SpillAhead(ConnectionShared* connection, uint64_t connection_id,
                std::span<const StagedRecord> records, SpillWriter* writer) {
  if (writer->failed) return;
  for (const StagedRecord& record : records) CountAhead(writer, record.header);
  const size_t bytes = WholeBytes(records);
  uint64_t offset = 0;
  const bool possible = WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    LaneShared* lane = MyLane(connection);
    if (connection->connection_id.Load() != connection_id || lane->overflowed) return false;
    ReuseSpill(lane, *writer);
    offset = lane->spill_reserved;
    return ReserveSpill(connection, bytes);
  });
  LIVE_QUERIES_FAULT("mailbox-spill-ahead");
  if (possible && WriteSpill(connection_id, offset, records, writer))
    writer->ahead += bytes;
  else
    writer->failed = true;
}

void AbandonAhead(ConnectionShared* connection, uint64_t connection_id, SpillWriter* writer) {
  NothingAhead(writer);
  WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    if (connection->connection_id.Load() != connection_id) return;
    LaneShared* lane = MyLane(connection);
    lane->spill_reserved = lane->spill_write;
  });
}

IndexSet TakeMail(ConnectionShared* connection, IndexSet unread, Inboxes* inboxes) {
  // Before looking: who puts something after that sends a new signal.
  connection->wake_pending.Store(false);
  pg_memory_barrier();
  return WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    const IndexSet taken = connection->mail_lanes.Without(unread);
    for (IndexSet left = taken; !left.empty();) {
      const int consumer = left.TakeFirst();
      LaneShared& lane = connection->lanes[consumer];
      (*inboxes)[consumer] = {lane.mail_first, 0, lane.spill_read, lane.spill_write,
                              lane.overflowed};
      connection->mail_lanes.Remove(consumer);
      lane.mail_first = InvalidDsaPointer;
      lane.mail_last = InvalidDsaPointer;
      lane.mail_bytes = 0;
      lane.overflowed = false;
    }
    return taken;
  });
}

void ReleaseSpill(ConnectionShared* connection, int consumer, const Inbox& inbox) {
  WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    LaneShared& lane = connection->lanes[consumer];
    lane.spill_read = inbox.spill_end;
    if (lane.spill_read != lane.spill_reserved) return;
    lane.spill_read = 0;
    lane.spill_write = 0;
    lane.spill_reserved = 0;
    // The consumer writes only what it has reserved, so nobody is at the file. Kept, it would
    // occupy as much as this connection ever spilled.
    char path[MAXPGPATH];
    SpillPath(connection->connection_id.Load(), consumer, path);
    [[maybe_unused]] const int result = truncate(path, 0);
  });
}

File OpenSpillForReading(uint64_t connection_id, int consumer) {
  char path[MAXPGPATH];
  SpillPath(connection_id, consumer, path);
  File file = PathNameOpenFilePerm(path, O_RDONLY | PG_BINARY, pg_file_create_mode);
  if (file < 0)
    ereport(ERROR, errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path));
  return file;
}

std::span<const std::byte> ReadSpill(File file, const Inbox& inbox) {
  constexpr size_t kPiece = 256 * 1024;
  RecordHeader header;
  const off_t start = static_cast<off_t>(inbox.spill_read);
  ReadWhole(file, &header, sizeof(header), start);
  const size_t left = inbox.spill_end - inbox.spill_read;
  size_t size = RecordBytes(header.body_bytes);
  if (size < kPiece) size = kPiece;
  if (size > left) size = left;  // if that cuts a record off, its header is damaged
  std::byte* bytes = static_cast<std::byte*>(palloc_extended(size, MCXT_ALLOC_HUGE));
  ReadWhole(file, bytes, size, start);
  return {bytes, size};
}

}  // namespace live_queries
