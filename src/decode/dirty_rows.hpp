// The decoder's half of the dirty log: the tables that evaluators watch, the identities of the rows
// of these that a transaction has changed, and the record of it. A transaction is written when its
// commit is decoded, whether or not anybody sees it yet: to stand at a position of the log, an
// evaluator's snapshot has to hide what is visible and stands behind that. Process: decoder.
#pragma once

#include "decode/change_batch.hpp"
#include "pg/postgres.hpp"
#include "registry/dirty_record.hpp"

extern "C" {
#include "access/htup.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"
}

namespace live_queries {

struct DatabaseShared;
struct RowShape;

// The columns by which evaluators watch a table.
struct WatchedIdentity {
  uint32 number;     // in the dirty log
  uint32 consumers;  // a bit for each
  int16 count;
  int16 columns[INDEX_MAX_KEYS];
};

void PrepareDirtyRows(MemoryContext context, DatabaseShared* database);

// Follows the list of what the evaluators watch. Between two records, outside a transaction.
void SyncIdentityWatches();
// All that committed up to `position` has been decoded: tells the evaluators.
void ShareDirtyLog(XLogRecPtr position);

// ----- for the output plugin -----

// Whether anybody reads the dirty log: each transaction is in it then, also if it has changed
// nothing that is watched.
bool DirtyLogIsKept();

struct ChangedRow {
  ChangeKind kind;
  HeapTuple old_row;  // nullptr: there is none, or it was not logged
  HeapTuple new_row;
};

// Notes a change of a table with these identities (WatchedIdentity*).
void NoteDirtyRow(const List* identities, Relation relation, const RowShape& shape,
                  const ChangedRow& change);
void NoteDirtyTable(const List* identities, DirtyKind kind, Oid relation);
// The transaction has committed: writes it.
void FinishDirtyTransaction(const DirtyCommit& commit);

}  // namespace live_queries
