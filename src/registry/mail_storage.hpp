// Where a connection's mailbox (deliver/mailbox.hpp, and what ending.hpp puts in it) keeps its
// records: for each lane blocks in shared memory, and past them a spill file. Made empty with the
// connection, and freed with it. Process: any.
#pragma once

#include <optional>
#include <span>

#include "pg/postgres.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {

struct ConnectionShared;

// One of a list of blocks.
struct MailBlockShared {
  dsa_pointer next;
  uint64_t bytes;       // of the records
  uint64_t body_count;  // of the bodies that they have by number (mail_body.hpp)
  // The bodies follow, and then the records.
};

inline std::span<const dsa_pointer> BodiesOf(const MailBlockShared& block) {
  return {reinterpret_cast<const dsa_pointer*>(&block + 1), block.body_count};
}

inline std::span<const std::byte> RecordsOf(const MailBlockShared& block) {
  return {reinterpret_cast<const std::byte*>(BodiesOf(block).data() + block.body_count),
          block.bytes};
}

// The body of that number, or nothing if there is none. May ereport if it cannot be mapped.
std::optional<std::string_view> BodyOf(const MailBlockShared& block, uint64_t number);

// Makes its lanes ones without subscriptions and mail; the blocks are the caller's to free. The
// caller holds the lock.
void ResetLanes(ConnectionShared* connection);

// What all lanes have that was not taken, in blocks (with the bodies of each, in full) and in spill
// files: the limits are those of a connection. The caller holds the lock.
uint64_t MailInMemory(const ConnectionShared& connection);
uint64_t MailInFiles(const ConnectionShared& connection);

// A block with room for `bytes` of records, and without any of its bodies, as the last one of the
// lane of that consumer; nullptr without memory. May ereport: then there is none. The caller holds
// the lock, and fills it without an error.
MailBlockShared* AppendBlock(ConnectionShared* connection, int consumer, size_t bytes,
                             size_t body_count = 0);
// Where its records go.
inline std::byte* RecordsIn(MailBlockShared* block) {
  return const_cast<std::byte*>(RecordsOf(*block).data());
}
// Gives a block that was just appended the body of a number that has none. The caller has made the
// body, and holds the lock. Never ereports.
void PutBody(ConnectionShared* connection, int consumer, MailBlockShared* block, uint64_t number,
             dsa_pointer body);
// What comes for a lane is lost: its subscriptions are to be reset. The caller holds the lock.
void NoteOverflow(ConnectionShared* connection, int consumer);
// Frees one of the connection's that nobody else knows of any more, or a list of them, and lets go
// of their bodies. May ereport if one cannot be mapped.
void FreeBlock(ConnectionShared* connection, dsa_pointer pointer);
void FreeBlocks(ConnectionShared* connection, dsa_pointer first);

// The path of the spill file of a connection's lane, below the data directory.
void SpillPath(uint64_t connection_id, int consumer, char (&path)[MAXPGPATH]);

// Removes that of a connection that ended, or all of them, if there are any. Never ereport.
void RemoveSpillFile(uint64_t connection_id, int consumer);
void RemoveSpillFiles(uint64_t connection_id);

}  // namespace live_queries
