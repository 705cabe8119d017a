// The first result: a cursor over the flattened query, (key json, "row" json), under one MVCC
// snapshot. It streams while its transaction lasts; at commit the server keeps the rest on disk, as
// for any cursor WITH HOLD. Process: client backend.
#pragma once

#include "pg/postgres.hpp"
#include "query/analyze.hpp"

extern "C" {
#include "utils/portal.h"
#include "utils/snapshot.h"
#include "utils/tuplestore.h"
}

namespace live_queries {

// In every process, from _PG_init: a cursor runs as the role in its name, with the settings that
// `settings_of` gives for its subscription, also where the server runs it: at commit that would be
// as whoever is current then.
void InstallSnapshotHook(const char* (*settings_of)(uint64_t serial));

// The name of the cursor of a subscription.
void NameSnapshotCursor(uint64_t serial, Oid role, char (&name)[NAMEDATALEN]);

// Opens the cursor of that name under the active snapshot.
void OpenSnapshotCursor(const char* name, const char* query_text, const Analysis& analysis);

// The cursor, or nullptr if something (CLOSE ALL, an error) has done away with it.
Portal FindSnapshotCursor(const char* name);

// Moves up to `max_rows` rows (0: all) into `rows`; returns how many.
uint64 FetchSnapshot(Portal cursor, uint64 max_rows, Tuplestorestate* rows);

}  // namespace live_queries
