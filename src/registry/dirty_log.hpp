// The dirty log of a database: what committed, in the order of the commits, for its evaluators. A
// ring with one writer, the decoder, which never waits; each evaluator reads with a cursor of its
// own, and learns it if the writer has lapped it. Process: decoder (writes), evaluator (reads).
#pragma once

#include "pg/atomic.hpp"
#include "pg/postgres.hpp"
#include "registry/consumer.hpp"
#include "registry/dirty_record.hpp"

extern "C" {
#include "utils/dsa.h"
}

namespace live_queries {

struct DatabaseShared;

// Of sets of consumers.
inline uint32 ConsumerBit(int consumer) { return 1U << consumer; }

struct DirtyLogShared {
  // Guarded by ControlLock: see registry/identity_watches.hpp.
  dsa_pointer watches;  // IdentityWatchShared[]
  uint32 watch_capacity;
  uint32 last_watch;

  Atomic<uint64_t> watch_changes;  // of that list
  // Written by the decoder alone: how many of those it heeds, and since which position of the log.
  Atomic<uint64_t> watched_changes;
  Atomic<uint64_t> watched_since;

  // Written by the decoder alone. Offsets count all bytes that were ever written.
  uint32 capacity;               // a power of two
  Atomic<uint64_t> written;      // the end of the last record
  Atomic<uint64_t> overwritten;  // what begins before this may be gone
  Atomic<uint64_t> complete;     // all that committed up to this position of the log is in here

  // By consumer: the position that it waits for; 0: none. Set by it, cleared by the decoder.
  Atomic<uint64_t> awaited[kMaxConsumers];

  char data[FLEXIBLE_ARRAY_MEMBER];
};

// An empty one. Raises 53200 without memory.
dsa_pointer MakeDirtyLog();
void FreeDirtyLog(dsa_pointer pointer);

// ----- in an evaluator -----

struct DirtyLogCursor {
  const DirtyLogShared* log;
  uint64 offset;
};

// From now on.
DirtyLogCursor OpenDirtyLog(const DirtyLogShared* log);

enum class DirtyRead : uint8_t {
  kNothing,      // nothing was written since
  kTransaction,  // the next one
  // Some were overwritten before they were read, or the decoder was another one: anything may have
  // changed. Reading goes on with what is written after this.
  kLapped,
};

// Reads the next transaction; its memory is of CurrentMemoryContext. Never waits.
DirtyRead ReadDirtyLog(DirtyLogCursor* cursor, DirtyTransaction* transaction);

// All that committed up to here is in the log. To be asked before reading to the end.
uint64_t DirtyLogPosition(const DirtyLogShared& log);

// Has the latch of this consumer set once the log is complete up to `position`, though nothing that
// it watches has changed. True if it is already.
bool AwaitDirtyLog(DatabaseShared* database, DirtyLogShared* log, int consumer, uint64_t position);

// ----- in the decoder -----

// Tells the readers that something is missing here.
void BreakDirtyLog(DirtyLogShared* log);
// The longest record that may be written.
size_t DirtyRecordLimit(const DirtyLogShared& log);
void WriteDirtyLog(DirtyLogShared* log, const DirtyRecordShared& record);
// Publishes how far it is complete, and wakes the consumers in `changed`, bits, and those that wait
// for that position.
void CompleteDirtyLog(DatabaseShared* database, DirtyLogShared* log, uint64_t position,
                      uint32 changed);

}  // namespace live_queries
