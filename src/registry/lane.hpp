// A lane: what a connection and one consumer have with each other, the subscriptions of the one
// that belong to the other. Mail goes one way on it, changes of subscriptions the other. Process:
// any.
#pragma once

#include "pg/atomic.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "utils/dsa.h"
}

namespace live_queries {

struct LaneShared {
  // ----- guarded by the connection's lock -----

  // Lists of slots; -1: none. A slot stays with the lane that has used it first, so that a list of
  // those that changed has one reader.
  int32_t free_slot;
  int32_t dirty_slot;

  // The mail that the backend has not taken: blocks (mail_storage.hpp), then what is in the spill
  // file, by offsets into it. Only the consumer writes that file, and only what it has reserved.
  dsa_pointer mail_first;
  dsa_pointer mail_last;
  uint64_t mail_bytes;  // of blocks, and of the bodies of each
  uint64_t spill_read;
  uint64_t spill_write;     // up to here it is published
  uint64_t spill_reserved;  // up to here it is, or is being, written
  bool overflowed;          // messages were thrown away: reset everything of this lane

  // ----- guarded by ControlLock: the link in ConsumerShared::dirty_connection -----

  bool dirty;    // it is on such a list,
  Oid dirty_in;  // of this database
  int next_dirty;

  // ----- written under the connection's lock, atomic for those who look without it -----

  Atomic<int32_t> subscription_count;  // that are counted

  // ----- without a lock -----

  Atomic<uint64_t> awaits;  // the position that the backend waits for (position.hpp)
};

}  // namespace live_queries
