// The first result: a cursor over the query of a plan, (key json, "row" json), under one MVCC
// snapshot. It streams while its transaction lasts; at commit the server keeps the rest on disk, as
// for any cursor WITH HOLD. Process: client backend.
#pragma once

#include "pg/postgres.hpp"
#include "query/plan.hpp"

extern "C" {
#include "utils/portal.h"
#include "utils/snapshot.h"
#include "utils/tuplestore.h"
}

namespace live_queries {

// Opens the cursor under the active snapshot. Code of other roles in the session can read any
// cursor that it can name: the name must be unguessable, and is shown nowhere.
void OpenSnapshotCursor(const char* name, const char* query_text, const Plan& plan);

// The cursor, or nullptr if something (CLOSE ALL, an error) has done away with it.
Portal FindSnapshotCursor(const char* name);

// Moves up to `max_rows` rows (0: all) into `rows`; returns how many. Of a cursor that streams.
uint64 FetchSnapshot(Portal cursor, uint64 max_rows, Tuplestorestate* rows);

// Does with a cursor that streams what the server does at commit: its rest is in its `holdStore`
// from here on, and it belongs to no transaction any more, so that the caller has to close it. An
// error leaves it failed.
void StoreSnapshot(Portal cursor);
bool IsStored(Portal cursor);
// Closing a store's file writes what is not written of it yet. So that this need not be at the end
// of a transaction: writes it, and goes to the first row. An error abandons the store.
void FlushStore(Portal cursor);
// Closes a store that could not be written. The cursor is gone for its readers.
void AbandonStore(Portal cursor);
// Another cursor of that name, of the running subtransaction, that gives the same rows. Of one that
// streams, of which nothing was read. To be called as the role whose query it is.
Portal CopySnapshotCursor(Portal cursor, const char* name);

}  // namespace live_queries
