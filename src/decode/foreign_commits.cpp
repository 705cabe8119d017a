// A commit record has the messages for the caches of others with it. Process: decoder.
#include "decode/foreign_commits.hpp"

#include <span>

#include "decode/dirty_rows.hpp"
#include "decode/recent_commits.hpp"

extern "C" {
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/sinval.h"
}

namespace live_queries {
namespace {

bool IsCommit(const XLogReaderState* reader) {
  if (XLogRecGetRmid(reader) != RM_XACT_ID) return false;
  const uint8 kind = XLogRecGetInfo(reader) & XLOG_XACT_OPMASK;
  return kind == XLOG_XACT_COMMIT || kind == XLOG_XACT_COMMIT_PREPARED;
}

// Most have none: no more than that is read of those.
bool HasMessages(const XLogReaderState* reader) {
  if ((XLogRecGetInfo(reader) & XLOG_XACT_HAS_INFO) == 0) return false;
  xl_xact_xinfo has;
  memcpy(&has, XLogRecGetData(reader) + MinSizeOfXactCommit, sizeof(has));
  return (has.xinfo & XACT_XINFO_HAS_INVALS) != 0;
}

// Those of a shared catalog name no database.
bool AnyOfSharedCatalogs(std::span<const SharedInvalidationMessage> messages) {
  for (const SharedInvalidationMessage& message : messages)
    if (message.id >= 0 && message.cc.dbId == InvalidOid) return true;
  return false;
}

}  // namespace

void NoteForeignCommit(const XLogReaderState* reader) {
  if (!IsCommit(reader) || !HasMessages(reader)) return;
  xl_xact_parsed_commit commit;
  ParseCommitRecord(XLogRecGetInfo(reader),
                    reinterpret_cast<xl_xact_commit*>(XLogRecGetData(reader)), &commit);
  if (commit.dbId == MyDatabaseId ||
      !AnyOfSharedCatalogs({commit.msgs, static_cast<size_t>(commit.nmsgs)}))
    return;
  const TransactionId xid =
      TransactionIdIsValid(commit.twophase_xid) ? commit.twophase_xid : XLogRecGetXid(reader);
  NoteCommit(xid, reader->EndRecPtr, true);
  if (DirtyLogIsKept())
    FinishDirtyTransaction({xid, commit.subxacts, static_cast<uint64_t>(commit.nsubxacts),
                            reader->EndRecPtr, commit.xact_time, true});
}

}  // namespace live_queries
