// The list of undo records, in the memory of the transaction that they are of. Process: client
// backend.
#include "client/undo_log.hpp"

#include "deliver/poll_queue.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "access/xact.h"
#include "miscadmin.h"
}

namespace live_queries {
namespace {

Undo* newest_undo = nullptr;  // in TopTransactionContext

}  // namespace

void Note(Action action, LocalSubscription* subscription) {
  Undo* undo = AllocateIn<Undo>(TopTransactionContext);
  undo->older = newest_undo;
  undo->subtransaction = GetCurrentSubTransactionId();
  undo->action = action;
  undo->subscription = subscription;
  if (action == Action::kRead) undo->read = subscription->first.read;
  if (action == Action::kPolled) {
    undo->place = subscription->held->read_position();
    undo->shown = subscription->shown;
    undo->role = GetUserId();
    undo->point = PolledPoint(undo->role);
  }
  newest_undo = undo;
}

const Undo* NewestUndo() { return newest_undo; }

bool IsAddedHere(const LocalSubscription& subscription) {
  const SubTransactionId here = GetCurrentSubTransactionId();
  for (const Undo* undo = newest_undo; undo != nullptr; undo = undo->older)
    if (undo->subscription == &subscription && undo->action == Action::kAdded)
      return undo->subtransaction == here;
  return false;
}

bool ChangesNotifications() {
  for (const Undo* undo = newest_undo; undo != nullptr; undo = undo->older)
    if (undo->subscription != nullptr && undo->subscription->delivery == Delivery::kNotify)
      return true;
  return false;
}

bool TakeUndo(SubTransactionId mine, Undo* undo) {
  if (newest_undo == nullptr || newest_undo->subtransaction < mine) return false;
  *undo = *newest_undo;
  newest_undo = undo->older;
  return true;
}

void PassUndosOn(SubTransactionId mine, SubTransactionId parent) {
  for (Undo* undo = newest_undo; undo != nullptr && undo->subtransaction >= mine;
       undo = undo->older)
    undo->subtransaction = parent;
}

void ForgetUndos() { newest_undo = nullptr; }

void ForgetUndosOf(const LocalSubscription* subscription) {
  for (Undo** link = &newest_undo; *link != nullptr;) {
    if ((*link)->subscription == subscription)
      *link = (*link)->older;
    else
      link = &(*link)->older;
  }
}

}  // namespace live_queries
