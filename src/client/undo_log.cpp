// The list of undo records, in the memory of the transaction that they are of. Process: client
// backend.
#include "client/undo_log.hpp"

#include "pg/memory.hpp"

extern "C" {
#include "access/xact.h"
}

namespace live_queries {
namespace {

Undo* newest_undo = nullptr;  // in TopTransactionContext

}  // namespace

void Note(Action action, LocalSubscription* subscription, uint64_t before, Oid role) {
  Undo* undo = AllocateIn<Undo>(TopTransactionContext);
  *undo = {newest_undo, GetCurrentSubTransactionId(), action, subscription, before, role};
  undo->adds = action == Action::kAdded || (newest_undo != nullptr && newest_undo->adds);
  undo->notified = (subscription != nullptr && subscription->delivery == Delivery::kNotify) ||
                   (newest_undo != nullptr && newest_undo->notified);
  newest_undo = undo;
}

const Undo* NewestUndo() { return newest_undo; }

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
