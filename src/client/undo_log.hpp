// What the running transaction has done to the connection's subscriptions, newest first, and in
// which subtransaction: a list and nothing more. Those who do it note it here, just before;
// client/transaction_end.cpp plays it back, or makes it true. Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "model/flow_control.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

enum class Action : uint8_t {
  kAdded,
  kLeft,
  kPaused,
  kResumed,
  kRead,
  kPolled,
  kListened,
  kUnlistened
};

struct Undo {
  Undo* older;
  SubTransactionId subtransaction;
  Action action;
  LocalSubscription* subscription;  // nullptr from kListened on
  uint64_t read;                    // kRead: how many rows were read before
  // kPolled: how far its queue was read, and what it and the role that polled were shown.
  RecordQueue::ReadPosition place;
  uint64_t shown;
  Oid role;
  Point point;
};

void Note(Action action, LocalSubscription* subscription);

// nullptr: nothing was done.
const Undo* NewestUndo();
// Whether it was added by the running subtransaction: that may be undone only together with all
// that this one does.
bool IsAddedHere(const LocalSubscription& subscription);
// Whether anything was done to a subscription that is told by notifications.
bool ChangesNotifications();

// The rest never ereports.

// Takes the newest one off the list; false if there is none of `mine` or a child of it.
bool TakeUndo(SubTransactionId mine, Undo* undo);
// What was done in `mine` counts as done in `parent`.
void PassUndosOn(SubTransactionId mine, SubTransactionId parent);
// The transaction has committed.
void ForgetUndos();
// What was done to that subscription is not to be undone any more.
void ForgetUndosOf(const LocalSubscription* subscription);

}  // namespace live_queries
