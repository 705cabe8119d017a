// live.snapshot: the first result, in batches. Process: client backend.
#include "query/snapshot_cursor.hpp"

#include "deliver/dispatch.hpp"
#include "sql_api/arguments.hpp"

extern "C" {
LIVE_QUERIES_FUNCTION(live_queries_snapshot);
}

namespace live_queries {
namespace {

uint64 RowsArgument(FunctionCallInfo call, int index) {
  if (call->args[index].isnull) return 0;
  const int32 rows = DatumGetInt32(call->args[index].value);
  if (rows < 1)
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max_rows must be at least 1"));
  return static_cast<uint64>(rows);
}

Datum SnapshotCall(FunctionCallInfo call) {
  LocalSubscription* subscription = SubscriptionArgument(call, 0);
  const uint64 max_rows = RowsArgument(call, 1);
  ResultRows rows(call);
  ReturnSetInfo* info = reinterpret_cast<ReturnSetInfo*>(call->resultinfo);
  // Read to its end already, or never asked for: no rows.
  if (subscription->cursor[0] == '\0') return static_cast<Datum>(0);
  Portal cursor = FindSnapshotCursor(subscription->cursor);
  if (cursor == nullptr || cursor->status == PORTAL_FAILED)
    ereport(ERROR, errcode(ERRCODE_INVALID_CURSOR_STATE),
            errmsg("the snapshot of live query \"%s\" is gone", CopyText(subscription->id.view())),
            errdetail("An error or CLOSE ALL has closed it."),
            errhint("Take a new one with live.refresh."));
  const uint64_t serial = subscription->serial;
  const uint64 fetched = FetchSnapshot(cursor, max_rows, info->setResult);
  // A function in the query may have called functions of ours.
  subscription = FindLocal(serial);
  if (subscription == nullptr) {
    PortalDrop(cursor, false);
    return static_cast<Datum>(0);
  }
  if (max_rows != 0 && fetched == max_rows) return static_cast<Datum>(0);
  PortalDrop(cursor, false);
  FinishSnapshot(subscription);
  return static_cast<Datum>(0);
}

}  // namespace
}  // namespace live_queries

Datum live_queries_snapshot(PG_FUNCTION_ARGS) { return live_queries::SnapshotCall(fcinfo); }
