// Reads the log in-process; see walsender.c and logicalfuncs.c for the server's own ways. Process:
// decoder.
#include "decode/wal_stream.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "access/xlog.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "replication/decode.h"
#include "replication/logical.h"
#include "replication/slot.h"
#include "storage/proc.h"
#include "utils/guc.h"
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

// Minor releases of 2026 run only the output plugins that this setting names.
void AllowOwnPlugin() {
  if (GetConfigOption("output_plugin_libraries", true, false) == nullptr) return;
  SetConfigOption("output_plugin_libraries", "live_queries", PGC_SUSET, PGC_S_OVERRIDE);
}

// Decoding declares its process as one whose snapshots need no protection, the slot giving it. But
// this process evaluates queries under snapshots of its own as well.
void ProtectOwnSnapshots() {
  LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
  MyProc->statusFlags &= ~PROC_IN_LOGICAL_DECODING;
  ProcGlobal->statusFlags[MyProc->pgxactoff] = MyProc->statusFlags;
  LWLockRelease(ProcArrayLock);
}

}  // namespace

void OpenWalStream(const char* name) {
  static XLogReaderRoutine routine;
  routine.page_read = ReadPage;
  routine.segment_open = wal_segment_open;
  routine.segment_close = wal_segment_close;
  AllowOwnPlugin();
  CheckLogicalDecodingRequirements();
  CreateTemporarySlot(name);
  MemoryContext outer = MemoryContextSwitchTo(TopMemoryContext);
  decoding = CreateInitDecodingContext("live_queries", NIL, false, InvalidXLogRecPtr, &routine,
                                       nullptr, nullptr, nullptr);
  MemoryContextSwitchTo(outer);
  ProtectOwnSnapshots();
  DecodingContextFindStartpoint(decoding);
  may_wait = false;
  decoding->reader->private_data = &no_wait_state;
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

XLogRecPtr StreamPosition() { return decoding->reader->EndRecPtr; }

void ConfirmPosition(XLogRecPtr position) { LogicalConfirmReceivedLocation(position); }

}  // namespace live_queries
