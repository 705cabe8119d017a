// Each change of the connection's subscriptions, and before it the note by which it is undone.
// Process: client backend.
#include "client/session.hpp"

#include "client/first_result.hpp"
#include "client/undo_log.hpp"
#include "deliver/dispatch.hpp"
#include "deliver/permission.hpp"
#include "deliver/settling.hpp"
#include "deliver/throttle.hpp"
#include "pg/fault.hpp"
#include "registry/connection.hpp"

namespace live_queries {
namespace {

bool listening_at_commit = false;  // to our channel, if the running transaction commits

// If it is over, and its end waits for live.poll.
void LeaveIfEnded(LocalSubscription* one, Whose whose) {
  if (!one->over || one->flow.leaving()) return;
  if (whose == Whose::kAnybodys || MayPoll(*one)) LeaveAtCommit(one);
}

// Those of that id.
void LeaveEnded(const SubscriptionId& id) {
  for (LocalSubscription* one = NextOfId(id, nullptr); one != nullptr; one = NextOfId(id, one))
    LeaveIfEnded(one, Whose::kActedFor);
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

}  // namespace

LocalSubscription* AddLocal(const SubscriptionId& id, Delivery delivery) {
  // The end of an earlier one of that id is not to be taken for its own.
  LeaveEnded(id);
  LocalSubscription* subscription = MakeLocal(id, delivery);
  Note(Action::kAdded, subscription);
  Link(subscription);
  return subscription;
}

bool UnsubscribeAtCommit(const SubscriptionId& id) {
  LocalSubscription* subscription = FindLocal(id);
  LeaveEnded(id);
  if (subscription != nullptr) LeaveAtCommit(subscription);
  return subscription != nullptr;
}

int32_t UnsubscribeAllAtCommit(Whose whose) {
  int32_t count = 0;
  for (const LocalSubscription* one : AllLocal()) LeaveIfEnded(Stir(one), whose);
  for (const LocalSubscription* one : AllLocal()) {
    if (one->flow.leaving() || one->over) continue;
    if (whose == Whose::kActedFor && !MayActFor(one->role)) continue;
    LeaveAtCommit(Stir(one));
    ++count;
  }
  return count;
}

void LeaveAtCommit(LocalSubscription* subscription) {
  Note(Action::kLeft, subscription);
  subscription->flow.OnLeave();
  LIVE_QUERIES_FAULT("subscription-drop");
}

void SetPaused(LocalSubscription* subscription, bool paused) {
  if (subscription->flow.paused() == paused) return;
  Note(paused ? Action::kPaused : Action::kResumed, subscription);
  ApplyPause(subscription, paused);
  LIVE_QUERIES_FAULT("subscription-pause");
}

void ApplyPause(LocalSubscription* subscription, bool paused) {
  if (paused)
    subscription->flow.OnPause();
  else
    subscription->flow.OnResume();
  ShareStatus(*subscription);
}

bool EndWaitsForOthers(const SubscriptionId& id) {
  for (const LocalSubscription* one = NextOfId(id, nullptr); one != nullptr;
       one = NextOfId(id, one)) {
    const bool waits = one->over && !one->flow.leaving() && one->held->unread() > 0;
    if (waits && !MayPoll(*one)) return true;
  }
  return false;
}

bool NextMessage(PolledMessage* message) {
  LocalSubscription* subscription = NextToPoll();
  if (subscription == nullptr) return false;
  if (IsFirstPolled()) Note(Action::kPolled, subscription);
  ReadPolled(message);
  return true;
}

void Deliver() {
  DeliverMail(ChangesNotifications());
  for (size_t i = Stirring().size(); i-- > 0;) {
    LocalSubscription* one = Stirring()[i];
    if (!one->over || one->delivery != Delivery::kNotify) continue;
    ForgetUndosOf(one);
    Forget(one, true);
  }
  if (NewestUndo() == nullptr) Settle();
}

void RefusePrepare() {
  if (NewestUndo() == nullptr) return;
  ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
          errmsg("cannot PREPARE a transaction that has changed live queries"));
}

void SetListening(bool on) {
  if (listening_at_commit == on) return;
  Note(on ? Action::kListened : Action::kUnlistened, nullptr);
  ApplyListening(on);
}

void ApplyListening(bool on) { listening_at_commit = on; }

bool IsListening() { return listening_at_commit; }

void Forget(LocalSubscription* subscription, bool kept) {
  CloseFirstResult(*subscription);
  EndThrottle(subscription);
  Remove(subscription, kept);
}

}  // namespace live_queries
