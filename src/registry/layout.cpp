// Sizes, offsets and first values. Process: postmaster.
#include "registry/layout.hpp"

#include <algorithm>

#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/settings.hpp"
#include "registry/connection.hpp"
#include "registry/definition_table.hpp"
#include "registry/limits.hpp"
#include "registry/terminated.hpp"

extern "C" {
#include "storage/ipc.h"
#include "storage/shmem.h"
}

namespace live_queries {
namespace {

constexpr char kTranche[] = "live_queries";
// Enough for an idle server; past it the area takes segments of its own.
constexpr Size kInitialAreaBytes = 1024 * 1024;
shmem_request_hook_type previous_shmem_request_hook = nullptr;
shmem_startup_hook_type previous_shmem_startup_hook = nullptr;

Size ControlBytes() { return MAXALIGN(sizeof(ControlShared)); }
Size DatabasesBytes() { return MAXALIGN(mul_size(sizeof(DatabaseShared), max_databases)); }
Size ConnectionsBytes() { return MAXALIGN(mul_size(sizeof(ConnectionShared), MaxBackends)); }

Size RoleUsagesBytes() { return MAXALIGN(mul_size(sizeof(RoleUsageShared), MaxBackends)); }
Size RingBytes() { return MAXALIGN(sizeof(TerminatedRingShared)); }
Size BucketsBytes() { return MAXALIGN(mul_size(sizeof(dsa_pointer), DefinitionBuckets())); }

Size TotalBytes() {
  Size bytes = kInitialAreaBytes;
  for (const Size part : {ControlBytes(), DatabasesBytes(), ConnectionsBytes(), RoleUsagesBytes(),
                          RingBytes(), BucketsBytes()})
    bytes = add_size(bytes, part);
#ifdef LIVE_QUERIES_FAULTS
  bytes = add_size(bytes, FaultMemoryBytes());
#endif
  return bytes;
}

void InitControl() {
  places.control->launcher_proc.Init(-1);
  places.control->connections_created.Init(0);
  places.control->subscriptions_created.Init(0);
  places.control->subscription_count.Init(0);
  places.control->mail_bytes.Init(0);
  if (!pg_strong_random(places.control->key_secret, sizeof(places.control->key_secret)))
    ereport(FATAL, errmsg("live_queries could not make a random secret"));
}

void InitConnection(ConnectionShared* connection, int index, LWLock* lock) {
  std::fill_n(reinterpret_cast<char*>(connection), sizeof(ConnectionShared), 0);
  connection->lock = lock;
  connection->proc = index;
  connection->connection_id.Init(0);
  connection->pid.Init(0);
  connection->backend_id.Init(0);
  connection->database.Init(InvalidOid);
  for (LaneShared& lane : connection->lanes) {
    lane.subscription_count.Init(0);
    lane.awaits.Init(kNothingAwaited);
  }
  connection->used_lanes.Init(0);
  connection->wake_pending.Init(false);
  connection->bytes.Init(0);
}

void InitRoleUsage(RoleUsageShared* usage) {
  usage->role = InvalidOid;
  usage->connections = 0;
  usage->subscriptions.Init(0);
  usage->bytes.Init(0);
}

void InitTerminatedRing() {
  places.terminated_ring->next = 0;
  for (TerminatedShared& kept : places.terminated_ring->kept) kept.subscription.serial = 0;
}

// Like pgstat's: created in place and pinned, then let go of, so that children attach themselves.
void CreateArea() {
  dsa_area* created =
      dsa_create_in_place(places.area, kInitialAreaBytes, places.control_lock->tranche, nullptr);
  dsa_pin(created);
  dsa_set_size_limit(created, static_cast<size_t>(memory_limit_kb) * 1024);
  dsa_detach(created);
}

void RequestSharedMemory() {
  if (previous_shmem_request_hook != nullptr) previous_shmem_request_hook();
  RequestAddinShmemSpace(TotalBytes());
  RequestNamedLWLockTranche(kTranche, 2 + MaxBackends);
}

void StartUpSharedMemory() {
  if (previous_shmem_startup_hook != nullptr) previous_shmem_startup_hook();
  bool found;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  char* place = static_cast<char*>(ShmemInitStruct(kTranche, TotalBytes(), &found));
  LWLockPadded* locks = GetNamedLWLockTranche(kTranche);
  places.control_lock = &locks[0].lock;
  places.definitions_lock = &locks[1].lock;
  places.control = reinterpret_cast<ControlShared*>(place);
  places.databases = reinterpret_cast<DatabaseShared*>(place += ControlBytes());
  places.connections = reinterpret_cast<ConnectionShared*>(place += DatabasesBytes());
  places.role_usages = reinterpret_cast<RoleUsageShared*>(place += ConnectionsBytes());
  places.terminated_ring = reinterpret_cast<TerminatedRingShared*>(place += RoleUsagesBytes());
  places.definition_buckets = reinterpret_cast<dsa_pointer*>(place += RingBytes());
  places.area = place + BucketsBytes();
  if (!found) {
    InitControl();
    for (int i = 0; i < max_databases; ++i) InitDatabase(&places.databases[i], i);
    for (int i = 0; i < MaxBackends; ++i)
      InitConnection(&places.connections[i], i, &locks[2 + i].lock);
    for (int i = 0; i < MaxBackends; ++i) InitRoleUsage(&places.role_usages[i]);
    InitTerminatedRing();
    std::fill_n(places.definition_buckets, DefinitionBuckets(), InvalidDsaPointer);
    CreateArea();
  }
#ifdef LIVE_QUERIES_FAULTS
  InitFaultMemory(static_cast<char*>(places.area) + kInitialAreaBytes, !found);
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

}  // namespace live_queries
