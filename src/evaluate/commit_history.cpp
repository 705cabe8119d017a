// A reader of the log that looks at commit records alone. Process: evaluator.
#include "evaluate/commit_history.hpp"

#include "pg/memory.hpp"

extern "C" {
#include "access/rmgr.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
}

namespace live_queries {
namespace {

constexpr size_t kFirstCapacity = 256;

XLogReaderState* reader = nullptr;
ReadLocalXLogPageNoWaitPrivate no_wait_state = {};
XLogRecPtr read_to = InvalidXLogRecPtr;

MemoryContext history_context = nullptr;  // of the subxids
Commit* commits = nullptr;
size_t count = 0;
size_t capacity = 0;

void Grow() {
  const size_t grown = capacity == 0 ? kFirstCapacity : capacity * 2;
  Commit* larger =
      static_cast<Commit*>(MemoryContextAllocHuge(TopMemoryContext, sizeof(Commit) * grown));
  if (commits != nullptr) {
    memcpy(larger, commits, sizeof(Commit) * count);
    pfree(commits);
  }
  commits = larger;
  capacity = grown;
}

void Note(TransactionId xid, const xl_xact_parsed_commit& record) {
  // Where a commit does not say of which database it is, it may be of ours.
  if (OidIsValid(record.dbId) && record.dbId != MyDatabaseId) return;
  if (count == capacity) Grow();
  TransactionId* subxids = nullptr;
  if (record.nsubxacts > 0) {
    const size_t bytes = sizeof(TransactionId) * static_cast<size_t>(record.nsubxacts);
    subxids = static_cast<TransactionId*>(MemoryContextAllocHuge(history_context, bytes));
    memcpy(subxids, record.subxacts, bytes);
  }
  commits[count++] = {reader->EndRecPtr, xid, subxids, record.nsubxacts};
}

// The reader makes its buffers where it happens to be when it needs them.
void ReadRecord() {
  char* error = nullptr;
  no_wait_state.end_of_wal = false;
  const XLogRecord* record =
      InMemoryContext(TopMemoryContext, [&] { return XLogReadRecord(reader, &error); });
  if (record != nullptr) return;
  ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
          errmsg("live_queries could not read the write-ahead log: %s",
                 error == nullptr ? "no record" : error));
}

void LookAtRecord() {
  if (XLogRecGetRmid(reader) != RM_XACT_ID) return;
  const uint8 operation = XLogRecGetInfo(reader) & XLOG_XACT_OPMASK;
  if (operation != XLOG_XACT_COMMIT && operation != XLOG_XACT_COMMIT_PREPARED) return;
  xl_xact_parsed_commit record;
  ParseCommitRecord(XLogRecGetInfo(reader),
                    reinterpret_cast<xl_xact_commit*>(XLogRecGetData(reader)), &record);
  // That of a prepared transaction is another's record.
  Note(operation == XLOG_XACT_COMMIT ? XLogRecGetXid(reader) : record.twophase_xid, record);
}

}  // namespace

void OpenCommitHistory(XLogRecPtr begin) {
  static XLogReaderRoutine routine;
  routine.page_read = read_local_xlog_page_no_wait;
  routine.segment_open = wal_segment_open;
  routine.segment_close = wal_segment_close;
  InMemoryContext(TopMemoryContext, [&] {
    reader = XLogReaderAllocate(wal_segment_size, nullptr, &routine, &no_wait_state);
    history_context = AllocSetContextCreate(TopMemoryContext, "live_queries commit history",
                                            ALLOCSET_DEFAULT_SIZES);
  });
  if (reader == nullptr) ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
  XLogBeginRead(reader, begin);
  read_to = begin;
}

void ReadCommitHistory(XLogRecPtr end) {
  XLogFlush(end);
  for (; read_to < end; read_to = reader->EndRecPtr) {
    CHECK_FOR_INTERRUPTS();
    ReadRecord();
    LookAtRecord();
  }
}

std::span<const Commit> CommitHistory() { return {commits, count}; }

void ForgetCommitHistory(XLogRecPtr position) {
  size_t forgotten = 0;
  for (; forgotten < count && commits[forgotten].position <= position; ++forgotten)
    if (commits[forgotten].subxids != nullptr)
      pfree(const_cast<TransactionId*>(commits[forgotten].subxids));
  count -= forgotten;
  if (forgotten > 0 && count > 0) memmove(commits, commits + forgotten, sizeof(Commit) * count);
}

}  // namespace live_queries
