// Sizes, creates and attaches to the shared memory. Process: postmaster (hooks), any (access).
#include "registry/shared_memory.hpp"

#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "registry/connection.hpp"
#include "registry/limits.hpp"
#include "registry/terminated.hpp"

extern "C" {
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/resowner.h"
}

namespace live_queries {
namespace {

constexpr char kTranche[] = "live_queries";
// Enough for an idle server; past it the area takes segments of its own.
constexpr Size kInitialAreaBytes = 1024 * 1024;
#ifdef LIVE_QUERIES_FAULTS
// In front of each piece: its size, to count what is left over.
constexpr Size kPieceHeader = 16;
#endif

ControlShared* control = nullptr;
DatabaseShared* databases = nullptr;
ConnectionShared* connections = nullptr;
RoleUsageShared* role_usages = nullptr;
TerminatedRingShared* terminated_ring = nullptr;
void* area_place = nullptr;
LWLock* control_lock = nullptr;
dsa_area* area = nullptr;

shmem_request_hook_type previous_shmem_request_hook = nullptr;
shmem_startup_hook_type previous_shmem_startup_hook = nullptr;

Size ControlBytes() { return MAXALIGN(sizeof(ControlShared)); }
Size DatabasesBytes() { return MAXALIGN(mul_size(sizeof(DatabaseShared), max_databases)); }
Size ConnectionsBytes() { return MAXALIGN(mul_size(sizeof(ConnectionShared), MaxBackends)); }

Size RoleUsagesBytes() { return MAXALIGN(mul_size(sizeof(RoleUsageShared), MaxBackends)); }
Size RingBytes() { return MAXALIGN(sizeof(TerminatedRingShared)); }

Size TotalBytes() {
  Size bytes = kInitialAreaBytes;
  for (const Size part :
       {ControlBytes(), DatabasesBytes(), ConnectionsBytes(), RoleUsagesBytes(), RingBytes()})
    bytes = add_size(bytes, part);
#ifdef LIVE_QUERIES_FAULTS
  bytes = add_size(bytes, FaultMemoryBytes());
#endif
  return bytes;
}

void InitControl() {
  control->launcher_proc.Init(-1);
  pg_atomic_init_u64(&control->connections_created, 0);
  pg_atomic_init_u64(&control->subscriptions_created, 0);
  pg_atomic_init_u32(&control->subscription_count, 0);
  pg_atomic_init_u64(&control->mail_bytes, 0);
  if (!pg_strong_random(control->key_secret, sizeof(control->key_secret)))
    ereport(FATAL, errmsg("live_queries could not make a random secret"));
}

void InitConnection(ConnectionShared* connection, int index, LWLock* lock) {
  memset(connection, 0, sizeof(ConnectionShared));
  connection->lock = lock;
  connection->proc = index;
  for (LaneShared& lane : connection->lanes) lane.awaits.Init(kNothingAwaited);
  pg_atomic_init_u32(&connection->wake_pending, 0);
  pg_atomic_init_u64(&connection->bytes, 0);
}

void InitRoleUsage(RoleUsageShared* usage) {
  usage->role = InvalidOid;
  usage->connections = 0;
  pg_atomic_init_u32(&usage->subscriptions, 0);
  pg_atomic_init_u64(&usage->bytes, 0);
}

void InitTerminatedRing() {
  terminated_ring->next = 0;
  for (TerminatedShared& kept : terminated_ring->kept) kept.subscription.serial = 0;
}

// Like pgstat's: created in place and pinned, then let go of, so that children attach themselves.
void CreateArea() {
  dsa_area* created =
      dsa_create_in_place(area_place, kInitialAreaBytes, control_lock->tranche, nullptr);
  dsa_pin(created);
  dsa_set_size_limit(created, static_cast<size_t>(memory_limit_kb) * 1024);
  dsa_detach(created);
}

void RequestSharedMemory() {
  if (previous_shmem_request_hook != nullptr) previous_shmem_request_hook();
  RequestAddinShmemSpace(TotalBytes());
  RequestNamedLWLockTranche(kTranche, 1 + MaxBackends);
}

void StartUpSharedMemory() {
  if (previous_shmem_startup_hook != nullptr) previous_shmem_startup_hook();
  bool found;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  char* place = static_cast<char*>(ShmemInitStruct(kTranche, TotalBytes(), &found));
  LWLockPadded* locks = GetNamedLWLockTranche(kTranche);
  control_lock = &locks[0].lock;
  control = reinterpret_cast<ControlShared*>(place);
  databases = reinterpret_cast<DatabaseShared*>(place += ControlBytes());
  connections = reinterpret_cast<ConnectionShared*>(place += DatabasesBytes());
  role_usages = reinterpret_cast<RoleUsageShared*>(place += ConnectionsBytes());
  terminated_ring = reinterpret_cast<TerminatedRingShared*>(place += RoleUsagesBytes());
  area_place = place + RingBytes();
  if (!found) {
    InitControl();
    for (int i = 0; i < max_databases; ++i) InitDatabase(&databases[i], i);
    for (int i = 0; i < MaxBackends; ++i) InitConnection(&connections[i], i, &locks[1 + i].lock);
    for (int i = 0; i < MaxBackends; ++i) InitRoleUsage(&role_usages[i]);
    InitTerminatedRing();
    CreateArea();
  }
#ifdef LIVE_QUERIES_FAULTS
  InitFaultMemory(static_cast<char*>(area_place) + kInitialAreaBytes, !found);
#endif
  LWLockRelease(AddinShmemInitLock);
}

}  // namespace

void InstallSharedMemoryHooks() {
  previous_shmem_request_hook = shmem_request_hook;
  shmem_request_hook = RequestSharedMemory;
  previous_shmem_startup_hook = shmem_startup_hook;
  shmem_startup_hook = StartUpSharedMemory;
}

bool SharedMemoryExists() { return control != nullptr; }

void RequireSharedMemory() {
  if (SharedMemoryExists()) return;
  ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
          errmsg("live_queries must be loaded via shared_preload_libraries"),
          errhint("Add live_queries to shared_preload_libraries and restart the server."));
}

ControlShared* Control() { return control; }
LWLock* ControlLock() { return control_lock; }
int ConnectionCapacity() { return MaxBackends; }
ConnectionShared* ConnectionAt(int index) { return &connections[index]; }
DatabaseShared* DatabaseAt(int index) { return &databases[index]; }
RoleUsageShared* RoleUsageAt(int index) { return &role_usages[index]; }
TerminatedRingShared* TerminatedRing() { return terminated_ring; }

dsa_area* Area() {
  if (area == nullptr) {
    // The mapping lasts as long as the process, not as the transaction that happens to be first.
    area =
        InMemoryContext(TopMemoryContext, [] { return dsa_attach_in_place(area_place, nullptr); });
    dsa_pin_mapping(area);
  }
  return area;
}

dsa_pointer AllocateShared(size_t bytes, int flags) {
  if (SharedMemoryIsSpent()) return InvalidDsaPointer;
  flags |= DSA_ALLOC_NO_OOM | (bytes > MaxAllocSize / 2 ? DSA_ALLOC_HUGE : 0);
#ifdef LIVE_QUERIES_FAULTS
  const dsa_pointer piece = dsa_allocate_extended(Area(), kPieceHeader + bytes, flags);
  if (!DsaPointerIsValid(piece)) return piece;
  *FromArea<int64_t>(piece) = static_cast<int64_t>(bytes);
  CountShared(1, static_cast<int64_t>(bytes));
  return piece + kPieceHeader;
#else
  return dsa_allocate_extended(Area(), bytes, flags);
#endif
}

void FreeShared(dsa_pointer pointer) {
#ifdef LIVE_QUERIES_FAULTS
  CountShared(-1, -SharedBytes(pointer));
  pointer -= kPieceHeader;
#endif
  dsa_free(Area(), pointer);
}

#ifdef LIVE_QUERIES_FAULTS
int64_t SharedBytes(dsa_pointer pointer) { return *FromArea<int64_t>(pointer - kPieceHeader); }
#endif

}  // namespace live_queries
