// The server's callbacks at the end of transactions and savepoints: plays the undo log back or
// makes it true, in an order in which nothing fails at commit, and delivers at pre-commit. Process:
// client backend.
#include "client/transaction_end.hpp"

#include "client/first_result.hpp"
#include "client/progress.hpp"
#include "client/session.hpp"
#include "client/undo_log.hpp"
#include "deliver/dispatch.hpp"
#include "deliver/settling.hpp"
#include "deliver/throttle.hpp"
#include "pg/fault.hpp"
#include "registry/registration.hpp"

extern "C" {
#include "access/transam.h"
#include "access/xact.h"
#include "commands/async.h"
#include "storage/ipc.h"
}

namespace live_queries {
namespace {

void TakeBack(const Undo& undo) {
  switch (undo.action) {
    case Action::kAdded:
      AbandonRegistration();
      Forget(undo.subscription, false);
      break;
    case Action::kLeft:
      undo.subscription->flow.OnStay();
      undo.subscription->replaced = false;
      undo.subscription->held->CountHere();
      break;
    case Action::kPaused:
      ApplyPause(undo.subscription, false);
      break;
    case Action::kResumed:
      ApplyPause(undo.subscription, true);
      break;
    case Action::kRead:
      if (!LIVE_QUERIES_MUTATION("forget_rolled_back_reads"))
        GiveBackRows(undo.subscription, undo.read);
      break;
    case Action::kPolled:
      undo.subscription->held->ReturnTo(undo.place);
      undo.subscription->shown = undo.shown;
      SetPolledPoint(undo.role, undo.point);
      break;
    case Action::kListened:
      ApplyListening(false);
      break;
    case Action::kUnlistened:
      ApplyListening(true);
      break;
  }
}

void TakeBackAll(SubTransactionId since) {
  Undo undo;
  while (TakeUndo(since, &undo)) TakeBack(undo);
}

void OnCommit() {
  for (const Undo* undo = NewestUndo(); undo != nullptr; undo = undo->older) {
    if (undo->action == Action::kAdded) undo->subscription->flow.OnCommitted();
    if (undo->action == Action::kRead) ConfirmRows(undo->subscription);
    if (undo->action == Action::kPolled) undo->subscription->held->ForgetRead();
  }
  ForgetUndos();
  for (size_t i = Stirring().size(); i-- > 0;) {
    LocalSubscription* one = Stirring()[i];
    const bool told = one->over && one->held->empty();
    if (one->flow.leaving() || told) Forget(one, one->over);
  }
  Settle();
  // The server looks at this before it tells the client that it is ready for the next command.
  const bool waits = MailIsWaiting() || ProgressWaitsForNothing(false) || !ReleaseIsArranged();
  if (AnyLocal() && waits) notifyInterruptPending = true;
}

void PrepareToCommit() {
  if (NewestUndo() == nullptr) return;
  for (LocalSubscription* one : Stirring()) PrepareToClose(one);
}

void OnAbort() {
  TakeBackAll(InvalidSubTransactionId);
  const bool goes_on = AnyLocal() && MayDeliverAgain();
  const bool waits = MailIsWaiting() || ProgressWaitsForNothing(true) || !ReleaseIsArranged();
  if (goes_on && waits) notifyInterruptPending = true;
}

void OnTransaction(XactEvent event, void*) {
  const bool changed = NewestUndo() != nullptr;
  if (!AnyLocal() && !changed) return;
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
      PrepareToCommit();
      // Not if notifications wait for the end; and a transaction that wrote holds locks, so it does
      // not wait for the client to read. See OnCommit. Nor where a backend that ends drops its
      // temporary tables: it has given back what it had taken, and would not give back any more.
      if (!proc_exit_inprogress && !TransactionIdIsValid(GetTopTransactionIdIfAny()) &&
          !ChangesNotifications())
        DeliverAndNotifyProgress();
      if (changed) LIVE_QUERIES_FAULT("session-commit");
      break;
    case XACT_EVENT_COMMIT:
      if (changed) LIVE_QUERIES_FAULT("session-committed");
      OnCommit();
      break;
    case XACT_EVENT_ABORT:
      if (changed) LIVE_QUERIES_FAULT("session-aborted");
      OnAbort();
      break;
    case XACT_EVENT_PRE_PREPARE:
      RefusePrepare();  // if the utility hook, which comes earlier, was passed by
      break;
    default:
      break;
  }
}

void OnSubtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void*) {
  if (event == SUBXACT_EVENT_COMMIT_SUB)
    PassUndosOn(mine, parent);
  else if (event == SUBXACT_EVENT_ABORT_SUB)
    TakeBackAll(mine);
}

}  // namespace

void InstallTransactionEnd() {
  RegisterXactCallback(OnTransaction, nullptr);
  RegisterSubXactCallback(OnSubtransaction, nullptr);
}

}  // namespace live_queries
