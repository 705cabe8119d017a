// Which tables the evaluators of a database watch, and by which columns each wants to be told of a
// row: a list in shared memory that they keep and the decoder follows. Process: decoder, evaluator.
#pragma once

#include <span>

#include "pg/postgres.hpp"
#include "registry/dirty_log.hpp"

namespace live_queries {

struct IdentityWatchShared {
  uint32 number;  // names it in the dirty log, never used again; 0: the place is free
  Oid relation;   // a table with rows
  int16 column_count;
  int16 columns[INDEX_MAX_KEYS];  // attribute numbers
  uint32 users[kMaxConsumers];    // how often by each consumer
};

// ----- in an evaluator -----

// Watches a table by these columns (attribute numbers; at most INDEX_MAX_KEYS); returns the number
// that its rows have in the dirty log. Once IdentitiesAreWatched, nothing that commits from then on
// is missed. Counted, so each has its Unwatch. May ereport; then nothing is watched.
uint32 WatchIdentity(DatabaseShared* database, DirtyLogShared* log, int consumer, Oid relation,
                     const List* columns);
void UnwatchIdentity(DatabaseShared* database, DirtyLogShared* log, int consumer, uint32 number);

// Whether the decoder heeds all of that. `*since`: what commits behind this position of the log is
// in the dirty log.
bool IdentitiesAreWatched(const DirtyLogShared& log, uint64_t* since);

// Takes away all that a consumer watches. The log is its own.
void ForgetIdentityWatches(DirtyLogShared* log, int consumer);

// ----- in the decoder -----

struct IdentityWatches {
  IdentityWatchShared* watches;
  int count;
  uint64 changes;  // that are in it
};

// Another number whenever the list has changed.
uint64 WatchChanges(const DirtyLogShared& log);
// A copy, in CurrentMemoryContext.
IdentityWatches CopyIdentityWatches(const DirtyLogShared& log);
// Those are heeded from `position` on.
void HeedIdentityWatches(DirtyLogShared* log, uint64 changes, uint64_t position);

}  // namespace live_queries
