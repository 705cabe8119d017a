// Publication and its use. The evaluator never waits for who reads: that process copies the
// snapshot and declares, in the array of processes, that it needs what that sees, all while it has
// the lock, so while the evaluator has not released it. Process: any.
#include "registry/published_snapshot.hpp"

#include "pg/compat.hpp"
#include "pg/locks.hpp"
#include "registry/shared_memory.hpp"

extern "C" {
#include "access/transam.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

// Whether what a snapshot of this xmin sees stays, as this process has an older snapshot, or one
// that it shares with the evaluator from here on. To take the evaluator's xmin in the place of one
// that is older would take rows from the transaction that this process serves.
bool Hold(TransactionId xmin, int evaluator) {
  PGPROC* proc = &ProcGlobal->allProcs[evaluator];
  const TransactionId mine = MyProc->xmin;
  if (!TransactionIdIsValid(mine) || TransactionIdFollows(mine, xmin))
    return ProcArrayInstallRestoredXmin(xmin, proc);
  const TransactionId held = *const_cast<volatile TransactionId*>(&proc->xmin);
  return TransactionIdIsNormal(held) && TransactionIdPrecedesOrEquals(held, xmin);
}

// Gives `use` a copy of it, which is to be made active or registered.
template <class Use>
void UsePublished(PublishedSnapshotShared* place, const PublishedMoment& at_least, Use&& use) {
  WithLock(&place->lock, LW_SHARED, [&] {
    const PublishedMoment moment = {place->position, place->clock};
    if (place->there && !(moment < at_least) && Hold(place->xmin, place->proc))
      use(RestoreSnapshot(FromArea<char>(place->bytes)), moment);
  });
}

bool MakeRoom(PublishedSnapshotShared* place, size_t size) {
  if (size <= place->capacity) return true;
  const dsa_pointer larger = AllocateShared(size * 2);
  if (!DsaPointerIsValid(larger)) return false;
  if (DsaPointerIsValid(place->bytes)) FreeShared(place->bytes);
  place->bytes = larger;
  place->capacity = size * 2;
  return true;
}

}  // namespace

void InitPublishedSnapshot(PublishedSnapshotShared* place) {
  memset(place, 0, sizeof(PublishedSnapshotShared));
  LWLockInitialize(&place->lock, ControlLock()->tranche);
}

void PublishSnapshot(PublishedSnapshotShared* place, Snapshot snapshot,
                     const PublishedMoment& moment) {
  WithLock(&place->lock, LW_EXCLUSIVE, [&] {
    place->there = false;
    if (!MakeRoom(place, EstimateSnapshotSpace(snapshot))) return;
    SerializeSnapshot(snapshot, FromArea<char>(place->bytes));
    place->position = moment.position;
    place->clock = moment.clock;
    place->xmin = snapshot->xmin;
    place->proc = ProcIndex(MyProc);
    place->there = true;
  });
}

void WithdrawSnapshot(PublishedSnapshotShared* place) {
  WithLock(&place->lock, LW_EXCLUSIVE, [&] { place->there = false; });
}

void FreePublishedSnapshot(PublishedSnapshotShared* place) {
  WithLock(&place->lock, LW_EXCLUSIVE, [&] {
    place->there = false;
    if (DsaPointerIsValid(place->bytes)) FreeShared(place->bytes);
    place->bytes = InvalidDsaPointer;
    place->capacity = 0;
  });
}

std::optional<PublishedMoment> PushPublishedSnapshot(PublishedSnapshotShared* place,
                                                     const PublishedMoment& at_least) {
  std::optional<PublishedMoment> pushed;
  UsePublished(place, at_least, [&](Snapshot snapshot, const PublishedMoment& moment) {
    PushActiveSnapshot(snapshot);
    pushed = moment;
  });
  return pushed;
}

std::optional<RegisteredSnapshot> RegisterPublishedSnapshot(PublishedSnapshotShared* place,
                                                            const PublishedMoment& at_least) {
  std::optional<RegisteredSnapshot> registered;
  UsePublished(place, at_least, [&](Snapshot snapshot, const PublishedMoment& moment) {
    registered = {RegisterSnapshotOnOwner(snapshot, TopTransactionResourceOwner), moment};
  });
  return registered;
}

std::optional<PublishedMoment> MomentOfPublished(PublishedSnapshotShared* place) {
  std::optional<PublishedMoment> moment;
  WithLock(&place->lock, LW_SHARED, [&] {
    if (place->there) moment = PublishedMoment{place->position, place->clock};
  });
  return moment;
}

}  // namespace live_queries
