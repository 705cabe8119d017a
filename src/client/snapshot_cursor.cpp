// Builds the cursor's query from the plan, so that the first result and the changes come from the
// same expressions, and does with the cursor what the server does with one WITH HOLD. Process:
// client backend.
#include "client/snapshot_cursor.hpp"

#include "pg/compat.hpp"
#include "pg/memory.hpp"
#include "pg/try_catch.hpp"
#include "query/key.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "commands/portalcmds.h"
#include "executor/tstoreReceiver.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

constexpr int kOptions = CURSOR_OPT_NO_SCROLL | CURSOR_OPT_HOLD;

Expr* MakeRow(List* result_columns) {
  RowExpr* row = makeNode(RowExpr);
  row->row_typeid = RECORDOID;
  row->row_format = COERCE_EXPLICIT_CALL;
  row->location = -1;
  ListCell* cell;
  foreach (cell, result_columns) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    row->args = lappend(row->args, copyObjectImpl(target->expr));
    row->colnames = lappend(row->colnames, makeString(pstrdup(target->resname)));
  }
  return reinterpret_cast<Expr*>(makeFuncExpr(F_ROW_TO_JSON_RECORD, JSONOID, list_make1(row),
                                              InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL));
}

// The query of `plan` with a key and a row as its result, and what it is sorted by.
Query* MakeSnapshotQuery(const Plan& plan) {
  Query* query = static_cast<Query*>(copyObjectImpl(plan.query));
  char* key_name = pstrdup("key");
  char* row_name = pstrdup("row");
  List* target_list =
      list_make2(makeTargetEntry(KeyExpression(plan.spec), 1, key_name, false),
                 makeTargetEntry(MakeRow(plan.spec.result_columns), 2, row_name, false));
  ListCell* cell;
  foreach (cell, query->targetList) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    if (target->ressortgroupref == 0) continue;
    target->resjunk = true;
    target->resno = static_cast<AttrNumber>(list_length(target_list) + 1);
    target_list = lappend(target_list, target);
  }
  query->targetList = target_list;
  return query;
}

}  // namespace

static Portal CreateCursor(const char* name) {
  Portal portal = CreatePortal(name, false, false);
  portal->visible = false;
  // It would be the name, and shows in pg_backend_memory_contexts.
  MemoryContextSetIdentifier(portal->portalContext, "live_queries snapshot");
  return portal;
}

// What a cursor runs, in its portal's context.
struct CursorQuery {
  const char* text;
  PlannedStmt* plan;
  ParamListInfo params;
};

static void StartCursor(Portal portal, const CursorQuery& query, Snapshot snapshot) {
  List* plans = InMemoryContext(portal->portalContext, [&] { return list_make1(query.plan); });
  PortalDefineQuery(portal, nullptr, query.text, CMDTAG_SELECT, plans, nullptr);
  portal->cursorOptions = kOptions;
  PortalStart(portal, query.params, 0, snapshot);
}

void OpenSnapshotCursor(const char* name, const char* query_text, const Plan& plan) {
  Portal portal = CreateCursor(name);
  const CursorQuery query = InMemoryContext(portal->portalContext, [&] {
    const char* text = pstrdup(query_text);
    Query* tree = MakeSnapshotQuery(plan);
    PlannedStmt* planned = PlanRewritten(tree, text, kOptions, nullptr);
    return CursorQuery{text, planned, KeyParams(plan.spec)};
  });
  StartCursor(portal, query, GetActiveSnapshot());
}

Portal FindSnapshotCursor(const char* name) {
  Portal portal = GetPortalByName(name);
  return PortalIsValid(portal) && !portal->visible ? portal : nullptr;
}

Portal CopySnapshotCursor(Portal cursor, const char* name) {
  Portal copy = CreateCursor(name);
  const CursorQuery query = InMemoryContext(copy->portalContext, [&] {
    PlannedStmt* plan = static_cast<PlannedStmt*>(copyObjectImpl(linitial(cursor->stmts)));
    ParamListInfo params = copyParamList(cursor->portalParams);
    // It is not copied, and hides the values: see KeyParams.
    if (params != nullptr) params->paramFetch = cursor->portalParams->paramFetch;
    return CursorQuery{pstrdup(cursor->sourceText), plan, params};
  });
  StartCursor(copy, query, cursor->queryDesc->snapshot);
  return copy;
}

void StoreSnapshot(Portal cursor) {
  PortalCreateHoldStore(cursor);
  PersistHoldablePortal(cursor);
  cursor->resowner = nullptr;
  cursor->createSubid = InvalidSubTransactionId;
  cursor->activeSubid = InvalidSubTransactionId;
  cursor->createLevel = 0;
}

void FlushStore(Portal cursor) {
  TryCatch(
      CurrentMemoryContext,
      [&] {
        tuplestore_rescan(cursor->holdStore);
        (void)tuplestore_advance(cursor->holdStore, true);
        tuplestore_rescan(cursor->holdStore);
      },
      [&](ErrorData* error) {
        AbandonStore(cursor);
        ReThrowError(error);
      });
}

void AbandonStore(Portal cursor) {
  Tuplestorestate* store = cursor->holdStore;
  cursor->holdStore = nullptr;
  const int limit = temp_file_limit;
  temp_file_limit = -1;
  // Where the disk is full, the file goes with the session.
  TryCatch(
      CurrentMemoryContext, [&] { tuplestore_end(store); }, [](ErrorData*) {});
  temp_file_limit = limit;
}

bool IsStored(Portal cursor) { return cursor->createSubid == InvalidSubTransactionId; }

uint64 FetchSnapshot(Portal cursor, uint64 max_rows, Tuplestorestate* rows) {
  DestReceiver* receiver = CreateDestReceiver(DestTuplestore);
  SetTuplestoreDestReceiverParams(receiver, rows, CurrentMemoryContext, false, nullptr, nullptr);
  const long count = max_rows == 0 ? FETCH_ALL : static_cast<long>(max_rows);
  const uint64 fetched = PortalRunFetch(cursor, FETCH_FORWARD, count, receiver);
  receiver->rDestroy(receiver);
  return fetched;
}

}  // namespace live_queries
