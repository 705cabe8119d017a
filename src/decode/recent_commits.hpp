// Transactions that were decoded but may not be over yet. The commit record comes before the end of
// the transaction: new snapshots may not see it, and if it has changed catalogs, others hear of
// that later still. CommitTransaction in the server's xact.c has this order: the record,
// ProcArrayEndTransaction (it is visible), AtEOXact_Inval (it tells), the locks are released, of
// which one is that of its xid; so has FinishPreparedTransaction in twophase.c. Process: decoder
// (in an evaluator none are noted).
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/xlogdefs.h"
}

namespace live_queries {

// Notes a decoded transaction with the end of its commit record. They come in the order of these.
// `tells`: it has changed catalogs.
void NoteCommit(TransactionId xid, XLogRecPtr end, bool tells);

// Notes those that committed before decoding began and are not over yet, such as those that wait
// for a synchronous standby. In a transaction.
void NoteCommitsBeforeStart();

// Whether new snapshots see it and, if it tells, it has told.
bool CommitIsOver(TransactionId xid, bool tells);

// How far, up to `position`, all that was noted is over. Whoever attaches gets nothing of what was
// decoded before, so his snapshot, which comes later, must see that.
XLogRecPtr OverUpTo(XLogRecPtr position);

// The same, of those that tell alone, and not of those from before the start: what these have
// changed concerns nobody who listens.
XLogRecPtr ToldUpTo(XLogRecPtr position);

// Looks which of those that tell have done so by now, for CatalogsChanged.
void NoteWhatIsTold();

// Whether any has been found to have told since the last TakeCatalogsChanged. What it has told is
// heard at the beginning of the next transaction.
bool CatalogsChanged();
bool TakeCatalogsChanged();

}  // namespace live_queries
