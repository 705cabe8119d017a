// Allocates and frees blocks in the area, counted for their connection, with the bodies that they
// have, and names and removes spill files. Process: any.
#include "registry/mail_storage.hpp"

#include <unistd.h>

#include "registry/connection.hpp"
#include "registry/limits.hpp"
#include "registry/mail_body.hpp"

extern "C" {
#include "common/file_utils.h"
#include "storage/fd.h"
}

namespace live_queries {
namespace {

size_t BlockBytes(size_t record_bytes, size_t body_count) {
  return sizeof(MailBlockShared) + body_count * sizeof(dsa_pointer) + record_bytes;
}

std::span<dsa_pointer> PlacesOfBodies(MailBlockShared* block) {
  return {reinterpret_cast<dsa_pointer*>(block + 1), block->body_count};
}

// InvalidDsaPointer without memory. May ereport: then there is none.
dsa_pointer MakeBlock(ConnectionShared* connection, size_t record_bytes, size_t body_count) {
  const size_t bytes = BlockBytes(record_bytes, body_count);
  const dsa_pointer pointer = AllocateShared(bytes);
  if (!DsaPointerIsValid(pointer)) return pointer;
  MailBlockShared* block = FromArea<MailBlockShared>(pointer);
  *block = {InvalidDsaPointer, record_bytes, body_count};
  for (dsa_pointer& body : PlacesOfBodies(block)) body = InvalidDsaPointer;
  Charge(connection, bytes);
  Control()->mail_bytes.Add(bytes);
  return pointer;
}

}  // namespace

void ResetLanes(ConnectionShared* connection) {
  for (LaneShared& lane : connection->lanes) {
    lane.free_slot = -1;
    lane.dirty_slot = -1;
    lane.subscription_count.Store(0);
    lane.mail_first = InvalidDsaPointer;
    lane.mail_last = InvalidDsaPointer;
    lane.mail_bytes = 0;
    lane.spill_read = 0;
    lane.spill_write = 0;
    lane.spill_reserved = 0;
    lane.overflowed = false;
    lane.awaits.Store(kNothingAwaited);
  }
  connection->mail_lanes = {};
  connection->used_lanes.Store(0);
}

uint64_t MailInMemory(const ConnectionShared& connection) {
  uint64_t bytes = 0;
  for (IndexSet lanes = connection.mail_lanes; !lanes.empty();)
    bytes += connection.lanes[lanes.TakeFirst()].mail_bytes;
  return bytes;
}

uint64_t MailInFiles(const ConnectionShared& connection) {
  uint64_t bytes = 0;
  for (const LaneShared& lane : connection.lanes) bytes += lane.spill_reserved;
  return bytes;
}

std::optional<std::string_view> BodyOf(const MailBlockShared& block, uint64_t number) {
  if (number >= block.body_count) return std::nullopt;
  return TextOf(*FromArea<MailBodyShared>(BodiesOf(block)[number]));
}

MailBlockShared* AppendBlock(ConnectionShared* connection, int consumer, size_t bytes,
                             size_t body_count) {
  LaneShared* lane = &connection->lanes[consumer];
  // Before there is a block: it may have to be mapped.
  MailBlockShared* last =
      DsaPointerIsValid(lane->mail_last) ? FromArea<MailBlockShared>(lane->mail_last) : nullptr;
  const dsa_pointer pointer = MakeBlock(connection, bytes, body_count);
  if (!DsaPointerIsValid(pointer)) return nullptr;
  if (last != nullptr)
    last->next = pointer;
  else
    lane->mail_first = pointer;
  lane->mail_last = pointer;
  lane->mail_bytes += bytes;
  connection->mail_lanes.Add(consumer);
  return FromArea<MailBlockShared>(pointer);
}

void PutBody(ConnectionShared* connection, int consumer, MailBlockShared* block, uint64_t number,
             dsa_pointer body) {
  HoldMailBody(connection, body);
  PlacesOfBodies(block)[number] = body;
  connection->lanes[consumer].mail_bytes += MailBodyBytes(FromArea<MailBodyShared>(body)->bytes);
}

void NoteOverflow(ConnectionShared* connection, int consumer) {
  connection->lanes[consumer].overflowed = true;
  connection->mail_lanes.Add(consumer);
}

void FreeBlock(ConnectionShared* connection, dsa_pointer pointer) {
  const MailBlockShared* block = FromArea<MailBlockShared>(pointer);
  // All of them are mapped before anything changes.
  for (const dsa_pointer body : BodiesOf(*block)) (void)FromArea<MailBodyShared>(body);
  for (const dsa_pointer body : BodiesOf(*block)) LetGoOfMailBody(connection, body);
  const size_t bytes = BlockBytes(block->bytes, block->body_count);
  FreeShared(pointer);
  Discharge(connection, bytes);
  Control()->mail_bytes.Subtract(bytes);
}

void FreeBlocks(ConnectionShared* connection, dsa_pointer first) {
  while (DsaPointerIsValid(first)) {
    const dsa_pointer block = first;
    first = FromArea<MailBlockShared>(block)->next;
    FreeBlock(connection, block);
  }
}

// In the directory and with the prefix of the server's temporary files, so that a restart or a
// crash removes it and base backups leave it out.
void SpillPath(uint64_t connection_id, int consumer, char (&path)[MAXPGPATH]) {
  snprintf(path, sizeof(path), "base/%s/%s_live_queries_" UINT64_FORMAT ".%d", PG_TEMP_FILES_DIR,
           PG_TEMP_FILE_PREFIX, connection_id, consumer);
}

void RemoveSpillFile(uint64_t connection_id, int consumer) {
  char path[MAXPGPATH];
  SpillPath(connection_id, consumer, path);
  (void)unlink(path);
}

void RemoveSpillFiles(uint64_t connection_id) {
  for (int consumer = 0; consumer < kMaxConsumers; ++consumer)
    RemoveSpillFile(connection_id, consumer);
}

}  // namespace live_queries
