// Plans a block first, to know what it would take, and makes the bodies that it needs and that are
// not there yet; what then fills it cannot fail. Process: a consumer.
#include "deliver/mail_block.hpp"

#include "pg/fault.hpp"
#include "pg/settings.hpp"
#include "registry/limits.hpp"
#include "registry/mail_body.hpp"
#include "registry/mail_storage.hpp"

namespace live_queries {
namespace {

// With fewer records, or a shorter text, copies cost less than a place that is counted.
constexpr uint32_t kFewestUsers = 4;
constexpr size_t kMostCopiedBytes = 64;

struct BlockPlan {
  size_t record_bytes = 0;
  size_t body_count = 0;
  size_t body_bytes = 0;

  // What the mailbox has more with it.
  size_t bytes() const { return record_bytes + body_bytes; }
};

uint64_t block_number = 0;  // of the plan that was made last

bool IsToBeShared(const ConnectionShared& connection, const StagedBody& body) {
  const bool is_worth_it = body.users >= kFewestUsers && body.text.size() > kMostCopiedBytes;
  const bool is_allowed = !DsaPointerIsValid(body.shared) || body.usage == connection.usage;
  return is_allowed && (is_worth_it || SharesAllBodies());
}

bool IsInBlock(const StagedBody& body) { return body.block == block_number; }

BlockPlan PlanBlock(const ConnectionShared& connection, std::span<const StagedRecord> records) {
  BlockPlan plan;
  ++block_number;
  for (const StagedRecord& record : records) {
    StagedBody* body = record.body;
    if (!IsToBeShared(connection, *body)) {
      plan.record_bytes += RecordBytes(record.header.body_bytes);
      continue;
    }
    plan.record_bytes += kNumberedRecordBytes;
    if (IsInBlock(*body)) continue;
    body->block = block_number;
    body->number = plan.body_count++;
    plan.body_bytes += MailBodyBytes(body->text.size());
  }
  return plan;
}

// Makes those of the planned block that have no place yet. False without memory; what is made then
// is there for other connections.
bool ShareBodies(const ConnectionShared& connection, std::span<const StagedRecord> records) {
  for (const StagedRecord& record : records) {
    StagedBody* body = record.body;
    if (IsInBlock(*body) && !DsaPointerIsValid(body->shared) && !ShareStagedBody(connection, body))
      return false;
  }
  return true;
}

std::byte* Write(std::byte* place, const void* bytes, size_t size) {
  memcpy(place, bytes, size);
  return place + size;
}

std::byte* WriteWhole(std::byte* place, const StagedRecord& record) {
  std::byte* end = place + RecordBytes(record.header.body_bytes);
  place = Write(place, &record.header, sizeof(record.header));
  char* padding = record.body->text.CopyTo(reinterpret_cast<char*>(place));
  memset(padding, 0, reinterpret_cast<char*>(end) - padding);
  return end;
}

std::byte* WriteNumbered(std::byte* place, const StagedRecord& record) {
  RecordHeader header = record.header;
  header.by_number = 1;
  place = Write(place, &header, sizeof(header));
  return Write(place, &record.body->number, sizeof(record.body->number));
}

void FillBlock(ConnectionShared* connection, int consumer, MailBlockShared* block,
               std::span<const StagedRecord> records) {
  std::byte* place = RecordsIn(block);
  for (const StagedRecord& record : records) {
    const StagedBody& body = *record.body;
    if (!IsInBlock(body)) {
      place = WriteWhole(place, record);
      continue;
    }
    place = WriteNumbered(place, record);
    if (!DsaPointerIsValid(BodiesOf(*block)[body.number]))
      PutBody(connection, consumer, block, body.number, body.shared);
  }
}

}  // namespace

bool PutInMemory(ConnectionShared* connection, int consumer,
                 std::span<const StagedRecord> records) {
  const BlockPlan plan = PlanBlock(*connection, records);
  if (MailInMemory(*connection) + plan.bytes() > mailbox_size_kb * kKilobyte ||
      !MayKeepMail(connection, plan.bytes()) || !ShareBodies(*connection, records))
    return false;
  MailBlockShared* block = AppendBlock(connection, consumer, plan.record_bytes, plan.body_count);
  if (block == nullptr) return false;
  FillBlock(connection, consumer, block, records);
  return true;
}

}  // namespace live_queries
