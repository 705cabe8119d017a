// The list of local subscriptions and its undo log. Process: client backend.
#include "deliver/session.hpp"

#include "client/first_result.hpp"
#include "deliver/dispatch.hpp"
#include "deliver/permission.hpp"
#include "deliver/poll_queue.hpp"
#include "deliver/refusals.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "registry/connection.hpp"

extern "C" {
#include "access/transam.h"
#include "access/xact.h"
#include "commands/async.h"
#include "utils/hsearch.h"
}

namespace live_queries {
namespace {

enum class Action : uint8_t {
  kAdded,
  kDropped,
  kPaused,
  kResumed,
  kRead,
  kPolled,
  kRefused,
  kListened,
  kUnlistened
};

// What to take back if the (sub)transaction rolls back, newest first.
struct Undo {
  Undo* older;
  SubTransactionId subtransaction;
  Action action;
  LocalSubscription* subscription;  // nullptr from kPolled on
  uint64_t before;                  // kRead, kPolled, kRefused: how many, or which was the last
  Oid role;                         // kPolled: whose messages
};

struct SerialEntry {
  uint64_t serial;  // hash key
  LocalSubscription* subscription;
};

LocalSubscription* first_subscription = nullptr;
HTAB* by_serial = nullptr;
Undo* newest_undo = nullptr;
bool listening_at_commit = false;  // to our channel, if the running transaction commits

void Note(Action action, LocalSubscription* subscription, uint64_t before = 0,
          Oid role = InvalidOid) {
  Undo* undo = AllocateIn<Undo>(TopTransactionContext);
  *undo = {newest_undo, GetCurrentSubTransactionId(), action, subscription, before, role};
  newest_undo = undo;
}

void RefuseQueued(const SubscriptionId* id, Whose whose = Whose::kActedFor) {
  if (PollQueueIsEmpty()) return;
  Note(Action::kRefused, nullptr, LastRefusal());
  RefuseTerminations(id, whose);
}

void Unlink(LocalSubscription* subscription) {
  LocalSubscription** link = &first_subscription;
  while (*link != subscription) link = &(*link)->next;
  *link = subscription->next;
}

void Forget(LocalSubscription* subscription, bool kept) {
  CloseFirstResult(*subscription);
  Unlink(subscription);
  if (subscription->serial != 0) {
    (void)hash_search(by_serial, &subscription->serial, HASH_REMOVE, nullptr);
    RemoveSubscription(subscription->serial, kept);
  }
  if (subscription->delivery == Delivery::kPoll) SortQueueLater();
  if (subscription->held != nullptr) {
    DiscardHeld(subscription);
    subscription->held->Destroy();
  }
  MemoryContextDelete(subscription->context);
}

void ShareStatus(const LocalSubscription& subscription) {
  ConnectionShared* connection = MyConnectionIfAny();
  if (connection == nullptr) return;  // the backend is ending
  WithLock(connection->lock, LW_EXCLUSIVE, [&] {
    SubscriptionShared* shared = FindSubscription(*connection, subscription.serial);
    if (shared != nullptr && shared->status != SubscriptionStatus::kTerminated)
      shared->status = subscription.flow.status();
  });
}

void TakeBack(const Undo& undo) {
  switch (undo.action) {
    case Action::kAdded:
      AbandonRegistration();
      Forget(undo.subscription, false);
      break;
    case Action::kDropped:
      undo.subscription->dropping = false;
      break;
    case Action::kPaused:
      undo.subscription->flow.OnResume();
      ShareStatus(*undo.subscription);
      break;
    case Action::kResumed:
      undo.subscription->flow.OnPause();
      ShareStatus(*undo.subscription);
      SortQueueLater();
      break;
    case Action::kRead:
      if (!LIVE_QUERIES_MUTATION("forget_rolled_back_reads"))
        GiveBackRows(undo.subscription, undo.before);
      break;
    case Action::kPolled:
      GiveBackPolled(undo.role, undo.before);
      break;
    case Action::kRefused:
      TakeBackRefusals(undo.before);
      break;
    case Action::kListened:
      listening_at_commit = false;
      break;
    case Action::kUnlistened:
      listening_at_commit = true;
      break;
  }
}

void OnCommit() {
  bool polled = false;
  bool refused = false;
  for (Undo* undo = newest_undo; undo != nullptr; undo = undo->older) {
    if (undo->action == Action::kAdded) undo->subscription->flow.OnCommitted();
    if (undo->action == Action::kRead) ConfirmRows(undo->subscription);
    polled = polled || undo->action == Action::kPolled;
    refused = refused || undo->action == Action::kRefused;
  }
  newest_undo = nullptr;
  if (polled) ForgetPolled();
  if (refused) {
    ConfirmRefusals();
    SortQueueLater();
  }
  for (LocalSubscription* one = first_subscription; one != nullptr;) {
    LocalSubscription* next = one->next;
    if (one->dropping) Forget(one, false);
    one = next;
  }
  // The server looks at this before it tells the client that it is ready for the next command.
  if (first_subscription != nullptr && MailIsWaiting()) notifyInterruptPending = true;
}

void PrepareToCommit() {
  if (newest_undo == nullptr) return;
  for (LocalSubscription* one = first_subscription; one != nullptr; one = one->next)
    PrepareToClose(one);
}

void OnAbort() {
  while (newest_undo != nullptr) {
    const Undo undo = *newest_undo;
    newest_undo = undo.older;
    TakeBack(undo);
  }
  if (first_subscription != nullptr && MayDeliverAgain() && MailIsWaiting())
    notifyInterruptPending = true;
}

void OnTransaction(XactEvent event, void*) {
  if (first_subscription == nullptr && newest_undo == nullptr) return;
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
      PrepareToCommit();
      // A transaction that wrote holds locks, so it does not wait for the client to read: see
      // OnCommit.
      if (!TransactionIdIsValid(GetTopTransactionIdIfAny())) DeliverMail();
      if (newest_undo != nullptr) LIVE_QUERIES_FAULT("session-commit");
      break;
    case XACT_EVENT_COMMIT:
      if (newest_undo != nullptr) LIVE_QUERIES_FAULT("session-committed");
      OnCommit();
      break;
    case XACT_EVENT_ABORT:
      if (newest_undo != nullptr) LIVE_QUERIES_FAULT("session-aborted");
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
  if (event == SUBXACT_EVENT_COMMIT_SUB) {
    for (Undo* undo = newest_undo; undo != nullptr && undo->subtransaction >= mine;
         undo = undo->older)
      undo->subtransaction = parent;
  } else if (event == SUBXACT_EVENT_ABORT_SUB) {
    while (newest_undo != nullptr && newest_undo->subtransaction >= mine) {
      const Undo undo = *newest_undo;
      newest_undo = undo.older;
      TakeBack(undo);
    }
  }
}

}  // namespace

bool VisibilityBound::Sees(TransactionId xid, uint64_t commit_lsn) const {
  if (commit_lsn > lsn || !TransactionIdIsNormal(xid)) return false;
  if (TransactionIdPrecedes(xid, xmin)) return true;
  if (!TransactionIdPrecedes(xid, xmax)) return false;
  for (uint32 i = 0; i < running_count; ++i)
    if (running[i] == xid) return false;
  return true;
}

void InstallSessionCallbacks() {
  RegisterXactCallback(OnTransaction, nullptr);
  RegisterSubXactCallback(OnSubtransaction, nullptr);
}

LocalSubscription* FirstLocal() { return first_subscription; }

LocalSubscription* FindLocal(const SubscriptionId& id) {
  for (LocalSubscription* one = first_subscription; one != nullptr; one = one->next)
    if (!one->dropping && one->id == id) return one;
  return nullptr;
}

LocalSubscription* FindLocal(uint64_t serial) {
  if (by_serial == nullptr) return nullptr;
  const auto* entry =
      static_cast<SerialEntry*>(hash_search(by_serial, &serial, HASH_FIND, nullptr));
  return entry == nullptr ? nullptr : entry->subscription;
}

void SetSerial(LocalSubscription* subscription, uint64_t serial) {
  hash_search(by_serial, &subscription->serial, HASH_REMOVE, nullptr);
  subscription->serial = serial;
  static_cast<SerialEntry*>(hash_search(by_serial, &serial, HASH_ENTER, nullptr))->subscription =
      subscription;
}

LocalSubscription* AddLocal(const SubscriptionId& id) {
  // The end of an earlier one of that id is not to be taken for its own.
  RefuseQueued(&id);
  // Not in SetSerial: an error there would leave it in the registry without a serial here.
  if (by_serial == nullptr) {
    HASHCTL control = {};
    control.keysize = sizeof(uint64_t);
    control.entrysize = sizeof(SerialEntry);
    by_serial = hash_create("live_queries subscriptions", 16, &control, HASH_ELEM | HASH_BLOBS);
  }
  MemoryContext context =
      AllocSetContextCreate(TopMemoryContext, "live_queries subscription", ALLOCSET_SMALL_SIZES);
  LocalSubscription* subscription = AllocateIn<LocalSubscription>(context);
  subscription->context = context;
  subscription->id = id;
  subscription->flow = FlowControl();
  subscription->held = RecordQueue::Create(context);
  Note(Action::kAdded, subscription);
  subscription->next = first_subscription;
  first_subscription = subscription;
  return subscription;
}

bool UnsubscribeAtCommit(const SubscriptionId& id) {
  LocalSubscription* subscription = FindLocal(id);
  RefuseQueued(&id);
  if (subscription != nullptr) DropAtCommit(subscription);
  return subscription != nullptr;
}

int32_t UnsubscribeAllAtCommit(Whose whose) {
  int32_t count = 0;
  RefuseQueued(nullptr, whose);
  for (LocalSubscription* one = first_subscription; one != nullptr; one = one->next) {
    if (one->dropping) continue;
    if (whose == Whose::kActedFor && !MayActFor(one->role)) continue;
    DropAtCommit(one);
    ++count;
  }
  return count;
}

void DropAtCommit(LocalSubscription* subscription) {
  Note(Action::kDropped, subscription);
  subscription->dropping = true;
  SortQueueLater();
  LIVE_QUERIES_FAULT("subscription-drop");
}

void SetPaused(LocalSubscription* subscription, bool paused) {
  const bool was_paused = subscription->flow.status() == SubscriptionStatus::kPaused;
  if (was_paused == paused) return;
  Note(paused ? Action::kPaused : Action::kResumed, subscription);
  if (paused)
    subscription->flow.OnPause();
  else
    subscription->flow.OnResume();
  ShareStatus(*subscription);
  SortQueueLater();
  LIVE_QUERIES_FAULT("subscription-pause");
}

void NoteRead(LocalSubscription* subscription) {
  Note(Action::kRead, subscription, subscription->first.read);
}

void NotePolled(Oid role, uint64_t before) { Note(Action::kPolled, nullptr, before, role); }

void RefusePrepare() {
  if (newest_undo == nullptr) return;
  ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
          errmsg("cannot PREPARE a transaction that has changed live queries"));
}

void SetListening(bool on) {
  if (listening_at_commit == on) return;
  Note(on ? Action::kListened : Action::kUnlistened, nullptr);
  listening_at_commit = on;
}

bool IsListening() { return listening_at_commit; }

void ForgetTerminated(LocalSubscription* subscription) {
  // What the running transaction did to it is not to be undone any more.
  for (Undo** link = &newest_undo; *link != nullptr;) {
    if ((*link)->subscription == subscription)
      *link = (*link)->older;
    else
      link = &(*link)->older;
  }
  Forget(subscription, true);
}

}  // namespace live_queries
