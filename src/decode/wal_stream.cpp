// Reads the log in this process, without a walsender; see walsender.c and logicalfuncs.c for the
// server's own ways. Finding the start, and what is overlooked on the way there, takes most of it.
// Process: decoder.
#include "decode/wal_stream.hpp"

#include "pg/compat.hpp"
#include "pg/compat_decoding.hpp"
#include "pg/fault.hpp"

extern "C" {
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "catalog/pg_largeobject_metadata.h"
#include "replication/decode.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "replication/slot.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinval.h"
#include "storage/standby.h"
#include "utils/inval.h"
}

namespace live_queries {
namespace {

LogicalDecodingContext* decoding = nullptr;
bool may_wait = true;
ReadLocalXLogPageNoWaitPrivate no_wait_state = {};

// Waiting is right while the start is searched for; later it would be deaf to the latch.
int ReadPage(XLogReaderState* reader, XLogRecPtr page, int length, XLogRecPtr record,
             char* buffer) {
  if (may_wait) return read_local_xlog_page(reader, page, length, record, buffer);
  return read_local_xlog_page_no_wait(reader, page, length, record, buffer);
}

// Decoding declares its process as one whose snapshots need no protection, the slot giving it. But
// this process evaluates queries under snapshots of its own as well.
void ProtectOwnSnapshots() {
  LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
  MyProc->statusFlags &= ~PROC_IN_LOGICAL_DECODING;
  ProcGlobal->statusFlags[MyProc->pgxactoff] = MyProc->statusFlags;
  LWLockRelease(ProcArrayLock);
}

void ReadTo(XLogRecPtr end) {
  while (StreamPosition() < end && DecodeNextRecord()) CHECK_FOR_INTERRUPTS();
  MemoryContextSwitchTo(TopMemoryContext);
}

// Writes which transactions run now, and reads to that.
void ReadToRunningTransactions() {
  const XLogRecPtr end = LogStandbySnapshot();
  XLogFlush(end);
  ReadTo(end);
}

// Commits as if it had changed a catalog, whose cached description is thrown away everywhere.
void WriteCatalogChange() {
  const int outer = synchronous_commit;
  synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
  StartTransactionCommand();
  (void)GetCurrentTransactionId();
  CacheInvalidateRelcacheByRelid(LargeObjectMetadataRelationId);
  CommitTransactionCommand();
  synchronous_commit = outer;
}

// As a filter, asked at each change and at each commit: there, a transaction is forgotten as a
// whole. The plugin does not hear of it.
template <class Origin>
bool IsCommit(LogicalDecodingContext* context, Origin) {
  return XLogRecGetRmid(context->reader) == RM_XACT_ID;
}

// Where decoding has found its start, its view of the catalogs lacks what committed while it
// searched ("could not map filenode" after a TRUNCATE). The next record of running transactions
// tells it that all that is committed, and the next change of a catalog makes it form a new view;
// but what a transaction that runs then has done before is decoded with the old one. Nobody
// watches yet: so nothing is decoded that commits before this is over.
void PassOverlookedCommits(uint64 catalog_messages) {
  constexpr long kPollMs = 10;
  decoding->callbacks.filter_by_origin_cb = IsCommit;
  ReadToRunningTransactions();
  AcceptInvalidationMessages();
  if (SharedInvalidMessageCounter != catalog_messages) {
    WriteCatalogChange();
    const TransactionId next = XidFromFullTransactionId(ReadNextFullTransactionId());
    while (TransactionIdPrecedes(OldestRunningTransaction(), next)) {
      CHECK_FOR_INTERRUPTS();
      (void)WaitLatch(nullptr, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kPollMs, WaitEventDecoderMain());
      ReadTo(GetFlushRecPtr(nullptr));
    }
    ReadToRunningTransactions();
  }
  decoding->callbacks.filter_by_origin_cb = nullptr;
}

}  // namespace

void OpenWalStream(const char* name) {
  static XLogReaderRoutine routine;
  routine.page_read = ReadPage;
  routine.segment_open = wal_segment_open;
  routine.segment_close = wal_segment_close;
  AllowOutputPlugin("live_queries");
  RequireLogicalDecoding();
  CreateTemporarySlot(name, SlotKind::kLogical);
  TurnOnLogicalDecoding();
  LIVE_QUERIES_FAULT("slot-created");
  AcceptInvalidationMessages();
  const uint64 catalog_messages = SharedInvalidMessageCounter;
  MemoryContext outer = MemoryContextSwitchTo(TopMemoryContext);
  decoding = BeginDecoding("live_queries", &routine);
  MemoryContextSwitchTo(outer);
  ProtectOwnSnapshots();
  DecodingContextFindStartpoint(decoding);
  may_wait = false;
  decoding->reader->private_data = &no_wait_state;
  PassOverlookedCommits(catalog_messages);
}

bool DecodeNextRecord() {
  char* error = nullptr;
  no_wait_state.end_of_wal = false;
  XLogRecord* record = XLogReadRecord(decoding->reader, &error);
  if (record == nullptr) {
    if (no_wait_state.end_of_wal) return false;
    ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
            errmsg("live_queries could not read the write-ahead log: %s",
                   error == nullptr ? "no record" : error));
  }
  LogicalDecodingProcessRecord(decoding, decoding->reader);
  return true;
}

const XLogReaderState* StreamReader() { return decoding->reader; }

XLogRecPtr StreamPosition() { return decoding->reader->EndRecPtr; }

void ConfirmPosition(XLogRecPtr position) { LogicalConfirmReceivedLocation(position); }

}  // namespace live_queries
