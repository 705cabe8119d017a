// The differences between server versions in replication slots and logical decoding; see
// pg/compat.hpp. Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/xlog.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "replication/reorderbuffer.h"
#include "replication/slot.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/guc.h"
}

#if PG_VERSION_NUM >= 190000
extern "C" {
#include "replication/logicalctl.h"
}
#endif

namespace live_queries {

// 17 hands over plain tuples (commit 08e6344fd).
inline HeapTuple OldTuple(const ReorderBufferChange* change) {
#if PG_VERSION_NUM >= 170000
  return change->data.tp.oldtuple;
#else
  return change->data.tp.oldtuple == nullptr ? nullptr : &change->data.tp.oldtuple->tuple;
#endif
}

inline HeapTuple NewTuple(const ReorderBufferChange* change) {
#if PG_VERSION_NUM >= 170000
  return change->data.tp.newtuple;
#else
  return change->data.tp.newtuple == nullptr ? nullptr : &change->data.tp.newtuple->tuple;
#endif
}

// A slot that goes with its process: a logical one of its database, or a physical one. 17 asks
// whether it follows a failover, or was synchronized from another server; 19, whether a table is
// repacked by it.
enum class SlotKind : uint8_t { kPhysical, kLogical };

inline void CreateTemporarySlot(const char* name, SlotKind kind) {
  const bool of_database = kind == SlotKind::kLogical;
#if PG_VERSION_NUM >= 190000
  ReplicationSlotCreate(name, of_database, RS_TEMPORARY, false, false, false, false);
#elif PG_VERSION_NUM >= 170000
  ReplicationSlotCreate(name, of_database, RS_TEMPORARY, false, false, false);
#else
  ReplicationSlotCreate(name, of_database, RS_TEMPORARY, false);
#endif
}

// Takes a lock beyond transactions, unless somebody else has it, or the table of locks is full. 18
// asks whether that is to be logged.
inline bool TryLockOfSession(const LOCKTAG& tag, LOCKMODE mode) {
#if PG_VERSION_NUM >= 180000
  return LockAcquireExtended(&tag, mode, true, true, false, nullptr, false) !=
         LOCKACQUIRE_NOT_AVAIL;
#else
  return LockAcquireExtended(&tag, mode, true, true, false, nullptr) != LOCKACQUIRE_NOT_AVAIL;
#endif
}

// Who uses a slot; 0: nobody. ReplicationSlotControlLock is held. 19 has the process by its number.
inline pid_t UserOfSlot(const ReplicationSlot& slot) {
#if PG_VERSION_NUM >= 190000
  return slot.active_proc == INVALID_PROC_NUMBER ? 0 : GetPGProcByNumber(slot.active_proc)->pid;
#else
  return slot.active_pid;
#endif
}

// Lets go of this process's slot, and of its temporary ones for ever. 17 asks whether only those
// synchronized from another server.
inline void DropOwnSlots() {
  if (MyReplicationSlot != nullptr) ReplicationSlotRelease();
#if PG_VERSION_NUM >= 170000
  ReplicationSlotCleanup(false);
#else
  ReplicationSlotCleanup();
#endif
}

// Whether there may be slots, and logical decoding: raises 55000 if not. 19 asks whether a table is
// to be repacked.
inline void RequireSlots() {
#if PG_VERSION_NUM >= 190000
  CheckSlotRequirements(false);
#else
  CheckSlotRequirements();
#endif
}

inline void RequireLogicalDecoding() {
#if PG_VERSION_NUM >= 190000
  CheckLogicalDecodingRequirements(false);
#else
  CheckLogicalDecodingRequirements();
#endif
}

// The least `wal_level` with which changes can be decoded. 19 logs what it takes with `replica` too
// as long as there is a logical slot, and shows it as `effective_wal_level`.
#if PG_VERSION_NUM >= 190000
constexpr int kLeastWalLevel = WAL_LEVEL_REPLICA;
constexpr const char* kLeastWalLevelName = "replica";
#else
constexpr int kLeastWalLevel = WAL_LEVEL_LOGICAL;
constexpr const char* kLeastWalLevelName = "logical";
#endif

// Has it logged from now on; this process has such a slot. Waits for each process to know.
inline void TurnOnLogicalDecoding() {
#if PG_VERSION_NUM >= 190000
  EnsureLogicalDecodingEnabled();
#endif
}

// Lets the process run the output plugin `library`: 15.20, 17.11 and 18.6 run only those that this
// setting names.
inline void AllowOutputPlugin(const char* library) {
  constexpr const char* kSetting = "output_plugin_libraries";
  if (GetConfigOption(kSetting, true, false) == nullptr) return;
  SetConfigOption(kSetting, library, PGC_SUSET, PGC_S_OVERRIDE);
}

// Begins to decode by this process's slot, and to call `plugin`, which writes nothing.
inline LogicalDecodingContext* BeginDecoding(const char* plugin, XLogReaderRoutine* routine) {
#if PG_VERSION_NUM >= 190000
  return CreateInitDecodingContext(plugin, NIL, false, false, InvalidXLogRecPtr, routine, nullptr,
                                   nullptr, nullptr);
#else
  return CreateInitDecodingContext(plugin, NIL, false, InvalidXLogRecPtr, routine, nullptr, nullptr,
                                   nullptr);
#endif
}

// 19 has the times of a transaction's end beside its other members.
inline TimestampTz CommitTimeOf(const ReorderBufferTXN& transaction) {
#if PG_VERSION_NUM >= 190000
  return transaction.commit_time;
#else
  return transaction.xact_time.commit_time;
#endif
}

// The oldest of all databases that is running. 19 asks for which.
inline TransactionId OldestRunningTransaction() {
#if PG_VERSION_NUM >= 190000
  return GetOldestActiveTransactionId(false, true);
#else
  return GetOldestActiveTransactionId();
#endif
}

}  // namespace live_queries
