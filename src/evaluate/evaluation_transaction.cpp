// How S1 outlives its transaction: it is copied, and what it sees is kept meanwhile by a
// replication slot of this process, which has an xmin as a standby's has. Nobody has to be asked
// for that, and it is over within microseconds. Process: evaluator.
#include "evaluate/evaluation_transaction.hpp"

#include "pg/compat_decoding.hpp"
#include "pg/fault.hpp"
#include "registry/consumer.hpp"

extern "C" {
#include "access/xact.h"
#include "pgstat.h"
#include "replication/slot.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

constexpr int kLongestTransactionMs = 1000;

PositionSnapshot held = {};
bool published = false;
TimestampTz started_at = 0;

void Start() {
  started_at = GetCurrentTimestamp();
  SetCurrentStatementStartTimestamp();
  StartTransactionCommand();
  XactReadOnly = true;
  XactIsoLevel = XACT_READ_COMMITTED;
}

// Keeps what snapshots of this xmin see, or nothing (InvalidTransactionId), as far as the slot
// does.
void KeepBySlot(TransactionId xmin) {
  if (LIVE_QUERIES_MUTATION("keep_nothing")) return;
  SpinLockAcquire(&MyReplicationSlot->mutex);
  MyReplicationSlot->data.xmin = xmin;
  MyReplicationSlot->effective_xmin = xmin;
  SpinLockRelease(&MyReplicationSlot->mutex);
  ReplicationSlotsComputeRequiredXmin(false);
}

char* CopyHeld() {
  char* copy = static_cast<char*>(
      MemoryContextAllocHuge(TopMemoryContext, EstimateSnapshotSpace(held.snapshot)));
  SerializeSnapshot(held.snapshot, copy);
  return copy;
}

// In a new transaction. As for the first snapshot of a slot (SnapBuildInitialSnapshot in
// snapbuild.c), that xmin needs no lock: a slot keeps it, and it is our own. The snapshot before it
// lets the server know that this transaction has begun to take some.
void TakeUp(char* copy) {
  (void)GetTransactionSnapshot();
  Snapshot snapshot = RestoreSnapshot(copy);
  MyProc->xmin = TransactionXmin = snapshot->xmin;
  held.snapshot = RegisterSnapshotOnOwner(snapshot, TopTransactionResourceOwner);
}

void Publish() {
  PublishSnapshot(&MyConsumer()->snapshot, held.snapshot, {held.position, held.clock});
  published = true;
}

}  // namespace

void PrepareEvaluationTransaction(const char* name) {
  RequireSlots();
  CreateTemporarySlot(name, SlotKind::kPhysical);
}

void BeginEvaluationTransaction() { Start(); }

const PositionSnapshot& HeldSnapshot() { return held; }

void HoldFirst(const PositionSnapshot& first) { held = first; }

void HoldNext(const PositionSnapshot& next) {
  const PositionSnapshot before = held;
  held = next;
  MyConsumer()->snapshot_taken_at.Store(GetCurrentTimestamp());
  Publish();
  Release(before);
}

bool TransactionIsDue() {
  // Who waits for a virtual xid makes an ordinary lock of what is a mark here (VirtualXactLock in
  // lock.c). A look without a lock may be a moment late. A transaction that has an xid, by what a
  // query in it called, keeps a place among those that write.
  return TransactionIdIsValid(GetTopTransactionIdIfAny()) ||
         !*const_cast<volatile bool*>(&MyProc->fpVXIDLock) ||
         TimestampDifferenceExceeds(started_at, GetCurrentTimestamp(), kLongestTransactionMs);
}

void ChangeTransaction() {
  char* copy = CopyHeld();
  WithdrawSnapshot(&MyConsumer()->snapshot);
  KeepBySlot(held.snapshot->xmin);
  Release(held);
  CommitTransactionCommand();
  pgstat_report_stat(false);
  LIVE_QUERIES_FAULT("evaluator-between");
  Start();
  TakeUp(copy);
  KeepBySlot(InvalidTransactionId);
  pfree(copy);
  if (published) Publish();
}

}  // namespace live_queries
