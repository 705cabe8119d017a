// live.snapshot: the first result, in batches. Process: client backend.
#include "client/first_result.hpp"
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
  ReadFirstResult(subscription, max_rows,
                  reinterpret_cast<ReturnSetInfo*>(call->resultinfo)->setResult);
  return static_cast<Datum>(0);
}

}  // namespace
}  // namespace live_queries

Datum live_queries_snapshot(PG_FUNCTION_ARGS) { return live_queries::SnapshotCall(fcinfo); }
