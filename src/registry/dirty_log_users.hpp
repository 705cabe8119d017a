// Who uses a database's dirty log: the first evaluator makes it, and the decoder, which looks every
// turn, frees it when no evaluator is left; if it ends before them, the last of them does. Process:
// decoder, evaluator.
#pragma once

#include "pg/postgres.hpp"
#include "registry/dirty_log.hpp"

namespace live_queries {

// ----- in an evaluator -----

// The log, for the consumer of that index, whose process this is; made if there is none. Nothing is
// watched yet, also if its predecessor has left something. Raises 53200 without memory.
DirtyLogShared* JoinDirtyLog(DatabaseShared* database, int consumer);
// May not be used after that, nor anything watched. Never ereports.
void LeaveDirtyLog(DatabaseShared* database, DirtyLogShared* log, int consumer);

// ----- in the decoder -----

// The log that it is to write until it asks again; nullptr: nobody reads it. What this process has
// decoded before it got it is missing there, and is told as such. Once in a turn.
DirtyLogShared* UseDirtyLog(DatabaseShared* database);

}  // namespace live_queries
