// The shared memory of the extension: one control block, a slot for each database and for each
// possible backend, and an area (dsa) for what varies in size. registry/README.md draws it and
// gives the lock order. Process: any.
#pragma once

#include "pg/atomic.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "utils/dsa.h"
}

namespace live_queries {

struct ConnectionShared;
struct DatabaseShared;
struct RoleUsageShared;
struct TerminatedRingShared;

struct ControlShared {
  Atomic<int> launcher_proc;  // of the launcher's PGPROC; -1: none
  Atomic<uint64_t> connections_created;
  Atomic<uint64_t> subscriptions_created;
  Atomic<uint32_t> subscription_count;  // of the whole server
  Atomic<uint64_t> mail_bytes;          // of all mailboxes, in shared memory
  // Never changed: the secret of all opaque keys (query/key.hpp).
  uint8 key_secret[32];
};

// Where its parts are: set by layout.cpp before there are other processes, and read by those files
// alone that own a part.
struct Places {
  ControlShared* control;
  DatabaseShared* databases;
  ConnectionShared* connections;
  RoleUsageShared* role_usages;
  TerminatedRingShared* terminated_ring;
  dsa_pointer* definition_buckets;
  void* area;
  LWLock* control_lock;
  LWLock* definitions_lock;
};
extern Places places;

// Whether the library was preloaded, so that the rest of this file works.
bool SharedMemoryExists();
// Raises 55000 with a hint if it was not.
void RequireSharedMemory();

ControlShared* Control();
LWLock* ControlLock();
LWLock* DefinitionsLock();

// The area, attached to at the first call of a process. May ereport then.
dsa_area* Area();

// Memory of the area, DSA_ALLOC_ZERO or as it comes; InvalidDsaPointer if that would be more than
// live_queries.memory_limit. May ereport where the machine has no more: then nothing is allocated.
dsa_pointer AllocateShared(size_t bytes, int flags = 0);
void FreeShared(dsa_pointer pointer);
#ifdef LIVE_QUERIES_FAULTS
// The size of such a piece.
int64_t SharedBytes(dsa_pointer pointer);
#endif

template <class T>
T* FromArea(dsa_pointer pointer) {
  static_assert(std::is_standard_layout_v<T>);
  return static_cast<T*>(dsa_get_address(Area(), pointer));
}

}  // namespace live_queries
