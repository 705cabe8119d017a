// Where a connection's mailbox (deliver/mailbox.hpp, and what ending.hpp puts in it) keeps its
// records: for each lane blocks in shared memory, and past them a spill file. Made empty with the
// connection, and freed with it. Process: any.
#pragma once

#include "pg/postgres.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {

struct ConnectionShared;

// One of a list of blocks.
struct MailBlockShared {
  dsa_pointer next;
  uint64_t bytes;
  // The records follow.
};

// Makes its lanes ones without subscriptions and mail; the blocks are the caller's to free. The
// caller holds the lock.
void ResetLanes(ConnectionShared* connection);

// What all lanes have that was not taken, in blocks and in spill files: the limits are those of a
// connection. The caller holds the lock.
uint64_t MailInMemory(const ConnectionShared& connection);
uint64_t MailInFiles(const ConnectionShared& connection);

// A block with room for `bytes` of records; InvalidDsaPointer without memory. May ereport.
dsa_pointer MakeBlock(ConnectionShared* connection, size_t bytes);
// The same, as the last one of the lane of that consumer: where the records go, or nullptr without
// memory. The caller holds the lock.
std::byte* AppendBlock(ConnectionShared* connection, int consumer, size_t bytes);
// What comes for a lane is lost: its subscriptions are to be reset. The caller holds the lock.
void NoteOverflow(ConnectionShared* connection, int consumer);
// Frees one of the connection's that nobody else knows of any more, or a list of them. May ereport
// if one cannot be mapped.
void FreeBlock(ConnectionShared* connection, dsa_pointer block);
void FreeBlocks(ConnectionShared* connection, dsa_pointer first);

// The path of the spill file of a connection's lane, below the data directory.
void SpillPath(uint64_t connection_id, int consumer, char (&path)[MAXPGPATH]);

// Removes that of a connection that ended, or all of them, if there are any. Never ereport.
void RemoveSpillFile(uint64_t connection_id, int consumer);
void RemoveSpillFiles(uint64_t connection_id);

}  // namespace live_queries
