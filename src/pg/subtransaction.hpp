// Work in a subtransaction that leaves no lock and no setting behind. Process: any, in a
// transaction.
#pragma once

#include "pg/try_catch.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/resowner.h"
}

namespace live_queries {

// Runs `body` in a subtransaction that is rolled back whether or not `body` ereports; `handler`
// gets the error (copied into CurrentMemoryContext) before that. What `body` allocates in
// CurrentMemoryContext stays.
template <class Body, class Handler>
void InRolledBackSubtransaction(Body&& body, Handler&& handler) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(context);
  TryCatch(context, body, handler);
  RollbackAndReleaseCurrentSubTransaction();
  MemoryContextSwitchTo(context);
  CurrentResourceOwner = owner;
}

}  // namespace live_queries
