// For tests: a query read under the snapshot that an evaluator has published. A build with fault
// points only; its SQL functions are no part of the extension (test/faults/Faults.pm). Process:
// client backend.
#include "pg/fault.hpp"

#ifdef LIVE_QUERIES_FAULTS

#include "client/consumer_wait.hpp"
#include "evaluate/old_indexes.hpp"
#include "registry/consumer.hpp"

extern "C" {
#include "executor/spi.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"

LIVE_QUERIES_FUNCTION(live_queries_fault_await_evaluator);
LIVE_QUERIES_FUNCTION(live_queries_fault_open_at_position);
}

namespace live_queries {
namespace {

void OpenCursor(const char* name, const char* query) {
  SPI_connect();
  SPIPlanPtr plan = SPI_prepare(query, 0, nullptr);
  if (plan == nullptr) elog(ERROR, "no plan of %s", query);
  SPI_cursor_open(name, plan, nullptr, nullptr, true);
  SPI_finish();
}

}  // namespace
}  // namespace live_queries

// fault_await_evaluator(): void
Datum live_queries_fault_await_evaluator(PG_FUNCTION_ARGS) {
  static_cast<void>(fcinfo);
  live_queries::WaitForConsumer(live_queries::kFirstEvaluator);
  PG_RETURN_VOID();
}

// fault_open_at_position(cursor text, query text): pg_lsn, where the cursor stands
Datum live_queries_fault_open_at_position(PG_FUNCTION_ARGS) {
  const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
  const char* query = text_to_cstring(PG_GETARG_TEXT_PP(1));
  const XLogRecPtr position =
      live_queries::PushSnapshotOf(live_queries::kFirstEvaluator, InvalidXLogRecPtr).position;
  live_queries::WithOldIndexesOnly([&] { live_queries::OpenCursor(name, query); });
  PopActiveSnapshot();
  PG_RETURN_LSN(position);
}

#endif  // LIVE_QUERIES_FAULTS
