// Builds the snapshot's query from what was analysed, so that snapshot and changes come from the
// same expressions. Process: client backend.
#include "query/snapshot_cursor.hpp"

#include <climits>

#include "pg/compat.hpp"
#include "query/key.hpp"
#include "query/settings_capture.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

constexpr char kNameFormat[] = "live_queries " UINT64_FORMAT " %u";  // serial, role

ExecutorRun_hook_type previous_run_hook = nullptr;
const char* (*settings_of_subscription)(uint64_t serial) = nullptr;

// No cursor that a user makes is invisible: nobody can put another one in its place.
bool IsSnapshotCursor(Portal portal) {
  return !portal->visible && strncmp(portal->name, "live_queries ", 13) == 0;
}

uint64_t SerialOf(Portal cursor) { return strtoull(strchr(cursor->name, ' ') + 1, nullptr, 10); }

Oid RoleOf(Portal cursor) {
  return static_cast<Oid>(strtoul(strrchr(cursor->name, ' ') + 1, nullptr, 10));
}

// Whoever runs the cursor, by live.snapshot or at the commit that stores what is left of it, its
// query runs as the role of its subscription and with its settings, as its changes are evaluated.
// `once` is a bool before 18 (commit 3eea7a0c9), and nothing since.
template <class... Once>
void OnExecutorRun(QueryDesc* query, ScanDirection direction, uint64 count, Once... once) {
  auto run = [&] {
    if (previous_run_hook != nullptr)
      previous_run_hook(query, direction, count, once...);
    else
      standard_ExecutorRun(query, direction, count, once...);
  };
  if (ActivePortal == nullptr || ActivePortal->queryDesc != query ||
      !IsSnapshotCursor(ActivePortal)) {
    run();
    return;
  }
  const char* settings = settings_of_subscription(SerialOf(ActivePortal));
  const Identity identity = EnterIdentity(RoleOf(ActivePortal), settings);
  run();
  LeaveIdentity(identity);
}

Expr* MakeRow(List* targets) {
  RowExpr* row = makeNode(RowExpr);
  row->row_typeid = RECORDOID;
  row->row_format = COERCE_EXPLICIT_CALL;
  row->location = -1;
  ListCell* cell;
  foreach (cell, targets) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    row->args = lappend(row->args, copyObjectImpl(target->expr));
    row->colnames = lappend(row->colnames, makeString(pstrdup(target->resname)));
  }
  return reinterpret_cast<Expr*>(makeFuncExpr(F_ROW_TO_JSON_RECORD, JSONOID, list_make1(row),
                                              InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL));
}

Query* MakeSnapshotQuery(const Analysis& analysis) {
  Query* query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->querySource = QSRC_ORIGINAL;
  query->canSetTag = true;
  query->hasRowSecurity = analysis.owner->hasRowSecurity;
  RangeTblEntry* table = static_cast<RangeTblEntry*>(copyObjectImpl(analysis.table));
  TakeOverAccess(query, table, analysis.owner);
  // Each security level one condition, as the planner wants them.
  ListCell* cell;
  foreach (cell, analysis.barriers)
    table->securityQuals = lappend(
        table->securityQuals, make_ands_explicit(static_cast<List*>(copyObjectImpl(lfirst(cell)))));
  query->rtable = list_make1(table);
  RangeTblRef* from = makeNode(RangeTblRef);
  from->rtindex = 1;
  Node* quals = analysis.quals == NIL ? nullptr
                                      : reinterpret_cast<Node*>(make_ands_explicit(
                                            static_cast<List*>(copyObjectImpl(analysis.quals))));
  query->jointree = makeFromExpr(list_make1(from), quals);
  const QuerySpec& spec = analysis.spec;
  char* key_name = pstrdup("key");
  char* row_name = pstrdup("row");
  query->targetList = list_make2(makeTargetEntry(KeyExpression(spec), 1, key_name, false),
                                 makeTargetEntry(MakeRow(spec.targets), 2, row_name, false));
  query->sortClause = analysis.sort_clause;
  foreach (cell, analysis.all_targets) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    if (target->ressortgroupref == 0) continue;
    target = static_cast<TargetEntry*>(copyObjectImpl(target));
    target->resjunk = true;
    target->resno = static_cast<AttrNumber>(list_length(query->targetList) + 1);
    query->targetList = lappend(query->targetList, target);
  }
  return query;
}

}  // namespace

void OpenSnapshotCursor(const char* name, const char* query_text, const Analysis& analysis) {
  constexpr int kOptions = CURSOR_OPT_NO_SCROLL | CURSOR_OPT_HOLD;
  Portal portal = CreatePortal(name, false, false);
  portal->visible = false;
  MemoryContext outer = MemoryContextSwitchTo(portal->portalContext);
  Query* query = static_cast<Query*>(copyObjectImpl(MakeSnapshotQuery(analysis)));
  PlannedStmt* plan = pg_plan_query(query, query_text, kOptions, nullptr);
  PortalDefineQuery(portal, nullptr, pstrdup(query_text), CMDTAG_SELECT, list_make1(plan), nullptr);
  ParamListInfo params = KeyParams(analysis.spec);
  MemoryContextSwitchTo(outer);
  portal->cursorOptions = kOptions;
  PortalStart(portal, params, 0, GetActiveSnapshot());
}

Portal FindSnapshotCursor(const char* name) {
  Portal portal = GetPortalByName(name);
  return PortalIsValid(portal) && IsSnapshotCursor(portal) ? portal : nullptr;
}

void NameSnapshotCursor(uint64_t serial, Oid role, char (&name)[NAMEDATALEN]) {
  snprintf(name, sizeof(name), kNameFormat, serial, role);
}

uint64 FetchSnapshot(Portal cursor, uint64 max_rows, Tuplestorestate* rows) {
  DestReceiver* receiver = CreateDestReceiver(DestTuplestore);
  SetTuplestoreDestReceiverParams(receiver, rows, CurrentMemoryContext, false, nullptr, nullptr);
  const long count = max_rows == 0 ? FETCH_ALL : static_cast<long>(max_rows);
  const uint64 fetched = PortalRunFetch(cursor, FETCH_FORWARD, count, receiver);
  receiver->rDestroy(receiver);
  return fetched;
}

void InstallSnapshotHook(const char* (*settings_of)(uint64_t serial)) {
  settings_of_subscription = settings_of;
  previous_run_hook = ExecutorRun_hook;
  ExecutorRun_hook = OnExecutorRun;
}

}  // namespace live_queries
