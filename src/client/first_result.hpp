// The first result of a live query: reads it from its cursor (client/snapshot_cursor.hpp), and
// reads again what was read in a transaction that rolls back. Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "pg/postgres.hpp"
#include "query/plan.hpp"

extern "C" {
#include "utils/tuplestore.h"
}

namespace live_queries {

// In every process, from _PG_init: a cursor runs as the role of its subscription and with its
// settings, also where the server runs it: at commit that would be as whoever is current then.
void InstallFirstResultHook();

// Opens the cursor, under the active snapshot.
void OpenFirstResult(LocalSubscription* subscription, const char* query_text, const Plan& plan);

// Moves up to `max_rows` of the next rows (0: all) into `rows`. Fewer mean that it is read to its
// end, and messages flow: to live.poll at once, by notification when the transaction has committed,
// since nobody could take them back. Raises 34000 if the cursor was closed. The subscription may be
// gone after it.
void ReadFirstResult(LocalSubscription* subscription, uint64 max_rows, Tuplestorestate* rows);

// From here on `subscription` is told of changes. It shows the position of its snapshot: returns
// once all that committed up to there is in the mailbox, so that the others can be told of it
// first. Raises 57014 if that takes too long.
void WaitUntilOthersCanShow(const LocalSubscription& subscription);

// What follows is for the end of a transaction, and never ereports, but for PrepareToClose.

// Before the end: closing the cursor then will not have to write.
void PrepareToClose(LocalSubscription* subscription);
// At commit of a transaction that has read.
void ConfirmRows(LocalSubscription* subscription);
// At rollback: what is behind the first `read` rows of the store is to be read again.
void GiveBackRows(LocalSubscription* subscription, uint64_t read);
// Nobody will read the rest. What a rolled-back transaction has opened, the server closes.
void CloseFirstResult(const LocalSubscription& subscription);

}  // namespace live_queries
