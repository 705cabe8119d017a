// Allocates and frees blocks in the area, counted for their connection, and names and removes spill
// files. Process: any.
#include "registry/mail_storage.hpp"

#include <unistd.h>

#include "registry/connection.hpp"
#include "registry/limits.hpp"

extern "C" {
#include "common/file_utils.h"
#include "storage/fd.h"
}

namespace live_queries {

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

dsa_pointer MakeBlock(ConnectionShared* connection, size_t bytes) {
  const dsa_pointer pointer = AllocateShared(sizeof(MailBlockShared) + bytes);
  if (!DsaPointerIsValid(pointer)) return pointer;
  *FromArea<MailBlockShared>(pointer) = {InvalidDsaPointer, bytes};
  Charge(connection, sizeof(MailBlockShared) + bytes);
  Control()->mail_bytes.Add(bytes);
  return pointer;
}

std::byte* AppendBlock(ConnectionShared* connection, int consumer, size_t bytes) {
  LaneShared* lane = &connection->lanes[consumer];
  // Before there is a block: it may have to be mapped.
  MailBlockShared* last =
      DsaPointerIsValid(lane->mail_last) ? FromArea<MailBlockShared>(lane->mail_last) : nullptr;
  const dsa_pointer pointer = MakeBlock(connection, bytes);
  if (!DsaPointerIsValid(pointer)) return nullptr;
  if (last != nullptr)
    last->next = pointer;
  else
    lane->mail_first = pointer;
  lane->mail_last = pointer;
  lane->mail_bytes += bytes;
  connection->mail_lanes.Add(consumer);
  return reinterpret_cast<std::byte*>(FromArea<MailBlockShared>(pointer) + 1);
}

void NoteOverflow(ConnectionShared* connection, int consumer) {
  connection->lanes[consumer].overflowed = true;
  connection->mail_lanes.Add(consumer);
}

void FreeBlock(ConnectionShared* connection, dsa_pointer block) {
  const uint64_t bytes = FromArea<MailBlockShared>(block)->bytes;
  FreeShared(block);
  Discharge(connection, sizeof(MailBlockShared) + bytes);
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
