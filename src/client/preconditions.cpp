// Raises why no live query can begin here and now. Process: client backend.
#include "client/preconditions.hpp"

#include "client/session.hpp"
#include "deliver/local_subscription.hpp"
#include "pg/compat_decoding.hpp"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
#include "replication/slot.h"
}

namespace live_queries {

void RequireDecoding() {
  if (RecoveryInProgress())
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("cannot watch a query while the server is in recovery"),
            errhint("Subscribe on the primary, or after the promotion of this server."));
  if (wal_level < kLeastWalLevel)
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("watching a query requires wal_level = %s", kLeastWalLevelName),
            errhint("Set wal_level = %s and restart the server.", kLeastWalLevelName));
  if (max_replication_slots == 0)
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("watching a query requires a replication slot"),
            errhint("Set max_replication_slots to at least 1 and restart the server."));
}

// The transaction's own changes would be in its snapshot and, once committed, in the feed as well.
void RequireNothingWritten() {
  if (!TransactionIdIsValid(GetTopTransactionIdIfAny())) return;
  ereport(ERROR, errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
          errmsg("cannot take the snapshot of a live query in a transaction that has written"),
          errhint("Subscribe or refresh first, or in a transaction of its own."));
}

void RequireClient(Delivery delivery) {
  if (InSecurityRestrictedOperation())
    ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
            errmsg("cannot watch a query within a security-restricted operation"));
  if (delivery == Delivery::kNotify && MyBackendType != B_BACKEND)
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("only a client connection can receive notifications"),
            errhint("Use delivery => 'poll'."));
}

// A client must not take the end of an earlier one of that id for the new one's.
void RequireNew(const SubscriptionId& id) {
  const bool ended = FindLocal(id) == nullptr;
  if (ended && !EndWaitsForOthers(id)) return;
  ereport(ERROR, errcode(ERRCODE_DUPLICATE_OBJECT),
          errmsg("this connection already has a live query \"%s\"", CopyText(id.view())),
          ended ? errdetail(
                      "It is over, and live.poll has not told that to the role it belongs to yet.")
                : 0,
          ended ? errhint("Poll as that role, or choose another id.") : 0);
}

}  // namespace live_queries
