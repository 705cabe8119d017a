// The transaction callback that notices commits which wrote: it raises the database's commit_lsn
// and sets the latches of its decoders. Called by the server at each commit. Process: any that
// commits.
#include "client/commit_wakeup.hpp"

#include "pg/fault.hpp"
#include "pg/postgres.hpp"
#include "registry/database.hpp"
#include "registry/shared_memory.hpp"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
}

namespace live_queries {
namespace {

bool commits_prepared = false;
// End of this backend's latest commit record when we looked last.
XLogRecPtr last_commit = InvalidXLogRecPtr;

void OnTransaction(XactEvent event, void*) {
  if (event != XACT_EVENT_COMMIT) return;
  const bool wrote = XactLastCommitEnd != last_commit || commits_prepared;
  if (!wrote) return;
  commits_prepared = false;
  last_commit = XactLastCommitEnd;
  if (!SharedMemoryExists() || !OidIsValid(MyDatabaseId)) return;
  DatabaseShared* database = FindDatabase(MyDatabaseId);
  if (database == nullptr || !AnyProcess(*database)) return;
  LIVE_QUERIES_FAULT("writer-committed");
  // With synchronous_commit = off the record may not be flushed: the decoder will do that.
  database->commit_lsn.Raise(last_commit);
  WakeDecoders(*database);
}

}  // namespace

void InstallCommitWakeup() { RegisterXactCallback(OnTransaction, nullptr); }

void NoteCommitPrepared() { commits_prepared = true; }

}  // namespace live_queries
