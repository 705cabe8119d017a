// What the running transaction has done to the connection's subscriptions, newest first, and in
// which subtransaction: a list and nothing more. Those who do it note it here, just before;
// client/transaction_end.cpp plays it back, or makes it true. Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

enum class Action : uint8_t {
  kAdded,
  kLeft,
  kPaused,
  kResumed,
  kRead,
  kPolled,
  kRefused,
  kListened,
  kUnlistened
};

struct Undo {
  Undo* older;
  SubTransactionId subtransaction;
  Action action;
  LocalSubscription* subscription;  // nullptr from kPolled on
  uint64_t before;                  // kRead, kPolled, kRefused: how many, or which was the last
  Oid role;                         // kPolled: whose messages
  // Of this one and all that are older:
  bool adds;      // one is kAdded
  bool notified;  // one is of a subscription that is told by notifications
};

void Note(Action action, LocalSubscription* subscription, uint64_t before = 0,
          Oid role = InvalidOid);

// nullptr: nothing was done.
const Undo* NewestUndo();

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
