// Reading the first result, and reading it again. Process: client backend.
//
// In its transaction the cursor streams: what is read at the level of the transaction that
// subscribed is undone only together with the subscription. What is read in a savepoint below it
// may be undone alone. So before that, and at commit by the server, the rest of the rows is put
// into the cursor's store, where any place can be gone back to.
#include "client/first_result.hpp"

#include "analyze/settings_capture.hpp"
#include "client/consumer_wait.hpp"
#include "client/snapshot_cursor.hpp"
#include "client/undo_log.hpp"
#include "pg/fault.hpp"
#include "pg/try_catch.hpp"
#include "registry/connection.hpp"

extern "C" {
#include "access/xact.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "tcop/pquery.h"
}

namespace live_queries {
namespace {

constexpr uint64_t kNowhere = UINT64_MAX;

ExecutorRun_hook_type previous_run_hook = nullptr;

const LocalSubscription* SubscriptionOf(Portal portal) {
  if (portal->visible || portal->name[0] == '\0') return nullptr;
  for (const LocalSubscription* one : Stirring())
    if (strcmp(portal->name, one->first.cursor) == 0 || strcmp(portal->name, one->first.copy) == 0)
      return one;
  return nullptr;
}

// Where the rows are being stored, an error may be that of their file, and the abort that follows
// is to close it.
template <class Run>
void RunCursor(Portal cursor, Run&& run) {
  if (cursor->holdStore == nullptr) {
    run();
    return;
  }
  TryCatch(CurrentMemoryContext, run, [&](ErrorData* error) {
    AbandonStore(cursor);
    ReThrowError(error);
  });
}

// `once` is a bool before 18 (commit 3eea7a0c9), and nothing since.
template <class... Once>
void OnExecutorRun(QueryDesc* query, ScanDirection direction, uint64 count, Once... once) {
  auto run = [&] {
    if (previous_run_hook != nullptr)
      previous_run_hook(query, direction, count, once...);
    else
      standard_ExecutorRun(query, direction, count, once...);
  };
  const LocalSubscription* subscription = nullptr;
  if (ActivePortal != nullptr && ActivePortal->queryDesc == query)
    subscription = SubscriptionOf(ActivePortal);
  if (subscription == nullptr) {
    run();
    return;
  }
  const Identity identity =
      EnterIdentity(subscription->session, subscription->role, subscription->settings);
  RunCursor(ActivePortal, run);
  LeaveIdentity(identity);
}

Portal RequireCursor(const LocalSubscription& subscription) {
  Portal cursor = FindSnapshotCursor(subscription.first.cursor);
  if (cursor != nullptr && cursor->status == PORTAL_READY &&
      (cursor->holdStore != nullptr || !IsStored(cursor)))
    return cursor;
  const char* id = CopyText(subscription.id.view());
  if (cursor != nullptr && cursor->status == PORTAL_ACTIVE)
    ereport(ERROR, errcode(ERRCODE_OBJECT_IN_USE),
            errmsg("the snapshot of live query \"%s\" is being read", id));
  ereport(ERROR, errcode(ERRCODE_UNDEFINED_CURSOR),
          errmsg("the snapshot of live query \"%s\" is gone", id),
          errdetail("An error or CLOSE ALL has closed it."),
          errhint("Take a new one with live.refresh."));
  pg_unreachable();
}

void Finish(LocalSubscription* subscription) {
  subscription->first.cursor[0] = '\0';
  subscription->flow.OnSnapshotRead();
}

// A function in the query may have called functions of ours, which ended the subscription.
void Stream(LocalSubscription* subscription, Portal cursor, uint64 max_rows,
            Tuplestorestate* rows) {
  const uint64_t serial = subscription->serial;
  const uint64 fetched = FetchSnapshot(cursor, max_rows, rows);
  subscription = FindLocal(serial);
  if (subscription != nullptr && max_rows != 0 && fetched == max_rows) return;
  PortalDrop(cursor, false);
  if (subscription == nullptr) return;
  WaitUntilOthersCanShow(*subscription);
  Finish(subscription);
}

// Of a cursor that nobody has read, it is a copy that runs: if that fails, the next attempt begins
// again. nullptr: the subscription is gone.
Portal StoreRest(LocalSubscription* subscription, Portal cursor) {
  const uint64_t serial = subscription->serial;
  Portal store = cursor;
  if (cursor->atStart) {
    const Identity identity =
        EnterIdentity(subscription->session, subscription->role, subscription->settings);
    ChannelName name;
    MakeUnguessableName(name);
    strlcpy(subscription->first.copy, name, sizeof(subscription->first.copy));
    store = CopySnapshotCursor(cursor, name);
    LeaveIdentity(identity);
  }
  StoreSnapshot(store);
  subscription = FindLocal(serial);
  if (subscription == nullptr) {
    PortalDrop(store, false);
    return nullptr;
  }
  Portal original = FindSnapshotCursor(subscription->first.cursor);
  strlcpy(subscription->first.cursor, store->name, sizeof(subscription->first.cursor));
  if (original != nullptr && original != store) PortalDrop(original, false);
  LIVE_QUERIES_FAULT("snapshot-stored");
  FlushStore(store);
  subscription->first.place = 0;
  return store;
}

uint64 MoveStored(FirstResult* first, Portal cursor, uint64 max_rows, Tuplestorestate* rows) {
  Tuplestorestate* store = cursor->holdStore;
  const bool there = first->place == first->read;
  // Until all went well.
  first->place = kNowhere;
  if (!there) {
    tuplestore_rescan(store);
    if (!tuplestore_skiptuples(store, static_cast<int64>(first->read), true))
      elog(ERROR, "live_queries finds fewer rows of a snapshot than it has read");
  }
  TupleTableSlot* slot = MakeSingleTupleTableSlot(cursor->tupDesc, &TTSOpsMinimalTuple);
  uint64 moved = 0;
  while ((max_rows == 0 || moved < max_rows) && tuplestore_gettupleslot(store, true, false, slot)) {
    CHECK_FOR_INTERRUPTS();
    tuplestore_puttupleslot(rows, slot);
    LIVE_QUERIES_FAULT("snapshot-row");
    ++moved;
  }
  ExecDropSingleTupleTableSlot(slot);
  first->place = first->read + moved;
  return moved;
}

void ReadStored(LocalSubscription* subscription, Portal cursor, uint64 max_rows,
                Tuplestorestate* rows) {
  FirstResult& first = subscription->first;
  Note(Action::kRead, subscription);
  const uint64 moved = MoveStored(&first, cursor, max_rows, rows);
  first.read += moved;
  if (max_rows != 0 && moved == max_rows) return;
  WaitUntilOthersCanShow(*subscription);
  first.complete = true;
  if (subscription->delivery == Delivery::kPoll) subscription->flow.OnSnapshotRead();
}

}  // namespace

void InstallFirstResultHook() {
  previous_run_hook = ExecutorRun_hook;
  ExecutorRun_hook = OnExecutorRun;
}

void OpenFirstResult(LocalSubscription* subscription, const char* query_text, const Plan& plan) {
  ChannelName name;
  MakeUnguessableName(name);
  OpenSnapshotCursor(name, query_text, plan);
  strlcpy(subscription->first.cursor, name, sizeof(subscription->first.cursor));
  subscription->first.place = kNowhere;
}

void ReadFirstResult(LocalSubscription* subscription, uint64 max_rows, Tuplestorestate* rows) {
  // Read to its end, or never asked for: no rows.
  if (subscription->first.complete || subscription->first.cursor[0] == '\0') return;
  Portal cursor = RequireCursor(*subscription);
  if (cursor->createSubid == GetCurrentSubTransactionId()) {
    Stream(subscription, cursor, max_rows, rows);
    return;
  }
  if (!IsStored(cursor)) cursor = StoreRest(subscription, cursor);
  if (cursor != nullptr) ReadStored(subscription, cursor, max_rows, rows);
}

void WaitUntilOthersCanShow(const LocalSubscription& subscription) {
  WaitForPublication(subscription.bound.lsn, NoteEnded);
}

void PrepareToClose(LocalSubscription* subscription) {
  FirstResult& first = subscription->first;
  if (first.cursor[0] == '\0' || first.place != kNowhere) return;
  Portal cursor = FindSnapshotCursor(first.cursor);
  if (cursor == nullptr || !IsStored(cursor) || cursor->holdStore == nullptr) return;
  FlushStore(cursor);
  first.place = 0;
}

void ConfirmRows(LocalSubscription* subscription) {
  if (!subscription->first.complete) return;
  CloseFirstResult(*subscription);
  Finish(subscription);
}

void GiveBackRows(LocalSubscription* subscription, uint64_t read) {
  FirstResult& first = subscription->first;
  first.read = read;
  if (!first.complete) return;
  first.complete = false;
  subscription->flow.OnSnapshotUnread();
}

void CloseFirstResult(const LocalSubscription& subscription) {
  if (subscription.first.cursor[0] == '\0') return;
  Portal cursor = FindSnapshotCursor(subscription.first.cursor);
  if (cursor == nullptr || cursor->status == PORTAL_ACTIVE) return;
  if (IsStored(cursor) || IsTransactionState()) PortalDrop(cursor, false);
}

}  // namespace live_queries
