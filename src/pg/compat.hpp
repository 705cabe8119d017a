// The differences between server versions, and nowhere else. Each names the release that made it.
// Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_tablespace.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/plancat.h"
#include "pgstat.h"
#include "postmaster/bgworker_internals.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "storage/buffile.h"
#include "storage/fd.h"
#include "storage/proc.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"
}
#if PG_VERSION_NUM >= 160000  // getRTEPermissionInfo: commit a61b1f748
extern "C" {
#include "parser/parse_relation.h"
}
#endif

#if PG_VERSION_NUM < 150000
#error "live_queries needs PostgreSQL 15 or later"
#endif

namespace live_queries {

#if PG_VERSION_NUM < 190000  // which has a new name for it, and more functions that it can inline
#define inline_function_in_from inline_set_returning_function
#endif

// 17 numbers processes by ProcNumber and has no BackendId (commit 024c52111).
inline int ProcIndex(const PGPROC* proc) {
#if PG_VERSION_NUM >= 170000
  return GetNumberFromPGProc(proc);
#else
  return proc->pgprocno;
#endif
}

inline int MyBackendNumber() {
#if PG_VERSION_NUM >= 170000
  return MyProcNumber;
#else
  return MyBackendId;
#endif
}

// Replaces the Vars of range table entry `index` by the expressions of `target_list`.
// 18, which has OLD and NEW in RETURNING, wants the number of a result relation as well.
inline Node* ReplaceVars(Node* node, int index, RangeTblEntry* entry, List* target_list) {
  bool has_sublinks = false;
#if PG_VERSION_NUM >= 180000
  return ReplaceVarsFromTargetList(node, index, 0, entry, target_list, 0, REPLACEVARS_REPORT_ERROR,
                                   0, &has_sublinks);
#else
  return ReplaceVarsFromTargetList(node, index, 0, entry, target_list, REPLACEVARS_REPORT_ERROR, 0,
                                   &has_sublinks);
#endif
}

// Whether ORDER BY with this operator puts the greatest first.
// 18 names comparisons apart from the strategies of B-trees.
inline bool SortsDescending(Oid sort_operator) {
  Oid family;
  Oid type;
#if PG_VERSION_NUM >= 180000
  CompareType comparison;
  return get_ordering_op_properties(sort_operator, &family, &type, &comparison) &&
         comparison == COMPARE_GT;
#else
  int16 strategy;
  return get_ordering_op_properties(sort_operator, &family, &type, &strategy) &&
         strategy == BTGreaterStrategyNumber;
#endif
}

// Raises 42501 if the role may not read what one query level names.
// 16 keeps permissions apart from the range table (commit a61b1f748).
inline void CheckLevelPermissions(Query* query) {
#if PG_VERSION_NUM >= 160000
  ExecCheckPermissions(query->rtable, query->rteperminfos, true);
#else
  ExecCheckRTPerms(query->rtable, true);
#endif
}

// What JSON_OBJECT(...) and its like, since 16 (commit 7081ac46a), make JSON of.
inline List* JsonConstructorArguments([[maybe_unused]] Node* node) {
#if PG_VERSION_NUM >= 160000
  return IsA(node, JsonConstructorExpr) ? castNode(JsonConstructorExpr, node)->args : NIL;
#else
  return NIL;
#endif
}

// All settings that the process knows. 16 gives a copy of the list (commit 3057465ac).
inline struct config_generic** AllSettings(int* count) {
#if PG_VERSION_NUM >= 160000
  return get_guc_variables(count);
#else
  *count = GetNumConfigOptions();
  return get_guc_variables();
#endif
}

// What of a table is checked for privileges, and as whom. 16 has that in another list (commit
// a61b1f748).
struct TableAccess {
  Oid relation;
  Oid as_role;  // InvalidOid: the current one
  Bitmapset* columns;
};

inline TableAccess AccessOf([[maybe_unused]] Query* query, RangeTblEntry* entry) {
#if PG_VERSION_NUM >= 160000
  RTEPermissionInfo* info =
      entry->perminfoindex == 0 ? nullptr : getRTEPermissionInfo(query->rteperminfos, entry);
  if (info == nullptr) return {entry->relid, InvalidOid, nullptr};
  return {info->relid, info->checkAsUser, info->selectedCols};
#else
  return {entry->relid, entry->checkAsUser, entry->selectedCols};
#endif
}

// Lets `query`, made by ourselves, read `entry`, its first, with the privileges that `entry` has in
// `source`. Before 16 (commit a61b1f748) `entry` itself has them.
inline void TakeOverAccess(Query* query, RangeTblEntry* entry, Query* source) {
#if PG_VERSION_NUM >= 160000
  if (entry->perminfoindex == 0) return;
  RTEPermissionInfo* info = getRTEPermissionInfo(source->rteperminfos, entry);
  query->rteperminfos = list_make1(info);
  entry->perminfoindex = 1;
#endif
}

// Lets `query`, made by ourselves, read `entry`, its first, whoever runs it.
inline void ReadAsServer([[maybe_unused]] Query* query, RangeTblEntry* entry) {
#if PG_VERSION_NUM >= 160000
  entry->perminfoindex = 0;
  RTEPermissionInfo* info = addRTEPermissionInfo(&query->rteperminfos, entry);
  info->requiredPerms = ACL_SELECT;
  info->checkAsUser = BOOTSTRAP_SUPERUSERID;
#else
  entry->requiredPerms = ACL_SELECT;
  entry->checkAsUser = BOOTSTRAP_SUPERUSERID;
  entry->selectedCols = nullptr;
#endif
}

// Adds what `source` reads to what `query` does, with its privileges; takes `source` over. Its
// variables have been moved.
inline void AppendRangeTable(Query* query, Query* source) {
#if PG_VERSION_NUM >= 160000
  CombineRangeTables(&query->rtable, &query->rteperminfos, source->rtable, source->rteperminfos);
#else
  query->rtable = list_concat(query->rtable, source->rtable);
#endif
}

// Whether it is what an SQL/JSON function does ON EMPTY or ON ERROR: no expression by itself, and
// below it is one (commit 6185c9737, in 17).
inline bool IsJsonBehavior([[maybe_unused]] const Node* node) {
#if PG_VERSION_NUM >= 170000
  return IsA(node, JsonBehavior);
#else
  return false;
#endif
}

// The type that an SQL/JSON function reads from a part of `*json` by the type's input function, if
// `node` is one. They exist since 17 (commit 6185c9737).
inline Oid TypeReadFromJson([[maybe_unused]] Node* node, [[maybe_unused]] Node** json) {
#if PG_VERSION_NUM >= 170000
  if (!IsA(node, JsonExpr)) return InvalidOid;
  *json = castNode(JsonExpr, node)->formatted_expr;
  return castNode(JsonExpr, node)->returning->typid;
#else
  return InvalidOid;
#endif
}

// 16 makes the buffers const and adds BufFileReadExact (commits 2d4f1ba6c, 20428d344).
inline void WriteBufFile(BufFile* file, const void* bytes, size_t size) {
#if PG_VERSION_NUM >= 160000
  BufFileWrite(file, bytes, size);
#else
  BufFileWrite(file, const_cast<void*>(bytes), size);
#endif
}

inline void ReadBufFile(BufFile* file, void* bytes, size_t size) {
#if PG_VERSION_NUM >= 160000
  BufFileReadExact(file, bytes, size);
#else
  if (BufFileRead(file, bytes, size) != size)
    ereport(ERROR, errcode_for_file_access(),
            errmsg("could not read a temporary file of live_queries: %m"));
#endif
}

// Whether rows that a held snapshot sees may be removed after a time all the same. 17 has no such
// setting any more (commit f691f5b80).
inline bool SnapshotsGrowTooOld() {
#if PG_VERSION_NUM >= 170000
  return false;
#else
  return old_snapshot_threshold >= 0;
#endif
}

// Wait events of our own names exist since 17 (commit c9af05465); before, all extensions share one.
#if PG_VERSION_NUM >= 170000
inline uint32 NamedWaitEvent(const char* name, uint32* event) {
  if (*event == 0) *event = WaitEventExtensionNew(name);
  return *event;
}
#define LIVE_QUERIES_WAIT_EVENT(function, name) \
  inline uint32 function() {                    \
    static uint32 event = 0;                    \
    return NamedWaitEvent(name, &event);        \
  }
#else
#define LIVE_QUERIES_WAIT_EVENT(function, name) \
  inline uint32 function() { return PG_WAIT_EXTENSION; }
#endif
LIVE_QUERIES_WAIT_EVENT(WaitEventDecoderMain, "LiveQueriesDecoderMain")
LIVE_QUERIES_WAIT_EVENT(WaitEventEvaluatorMain, "LiveQueriesEvaluatorMain")
LIVE_QUERIES_WAIT_EVENT(WaitEventLauncherMain, "LiveQueriesLauncherMain")
LIVE_QUERIES_WAIT_EVENT(WaitEventVisibility, "LiveQueriesCommitVisibility")
LIVE_QUERIES_WAIT_EVENT(WaitEventSubscribe, "LiveQueriesSubscribe")
LIVE_QUERIES_WAIT_EVENT(WaitEventProgress, "LiveQueriesProgress")
LIVE_QUERIES_WAIT_EVENT(WaitEventPoll, "LiveQueriesPoll")
LIVE_QUERIES_WAIT_EVENT(WaitEventDecoderStop, "LiveQueriesDecoderStop")
#undef LIVE_QUERIES_WAIT_EVENT

// What pg_stat_activity knows of a process; nullptr if nothing.
// 16 has the entries by index under another name.
inline const PgBackendStatus* StatusOfPid(pid_t pid) {
  for (int i = 1; i <= pgstat_fetch_stat_numbackends(); ++i) {
#if PG_VERSION_NUM >= 160000
    const PgBackendStatus* status = &pgstat_get_local_beentry_by_index(i)->backendStatus;
#else
    const PgBackendStatus* status = pgstat_fetch_stat_beentry(i);
#endif
    if (status != nullptr && status->st_procpid == pid) return status;
  }
  return nullptr;
}

// The command by which a process gives a table another file; nullptr: by none that reports it. 19
// has REPACK, of which the others are forms.
inline const char* RewritingCommand(const PgBackendStatus& status) {
#if PG_VERSION_NUM >= 190000
  if (status.st_progress_command != PROGRESS_COMMAND_REPACK) return nullptr;
  const int64 command = status.st_progress_param[PROGRESS_REPACK_COMMAND];
  if (command == REPACK_COMMAND_REPACK) return "REPACK";
  return command == REPACK_COMMAND_CLUSTER ? "CLUSTER" : "VACUUM FULL";
#else
  if (status.st_progress_command != PROGRESS_COMMAND_CLUSTER) return nullptr;
  const int64 command = status.st_progress_param[PROGRESS_CLUSTER_COMMAND];
  return command == PROGRESS_CLUSTER_COMMAND_CLUSTER ? "CLUSTER" : "VACUUM FULL";
#endif
}

// 18 asks whether a deferrable key counts (commit 14e87ffa5); here it never does.
inline Oid PrimaryKeyIndex(Relation relation) {
#if PG_VERSION_NUM >= 180000
  return RelationGetPrimaryKeyIndex(relation, false);
#else
  return RelationGetPrimaryKeyIndex(relation);
#endif
}

// 16 has one function for all kinds of objects (commit afbfc0298).
inline bool OwnsDatabase(Oid database) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(DatabaseRelationId, database, GetUserId());
#else
  return pg_database_ownercheck(database, GetUserId());
#endif
}

// Whether `user` may SET ROLE to `role`. 16 has an option of the membership for that (commit
// 3d14e171e).
inline bool MaySetRole(Oid user, Oid role) {
#if PG_VERSION_NUM >= 160000
  return member_can_set_role(user, role);
#else
  return is_member_of_role(user, role);
#endif
}

// 16 has one function for all kinds of objects (commit afbfc0298).
inline bool MayCreateInTablespace(Oid tablespace) {
#if PG_VERSION_NUM >= 160000
  return object_aclcheck(TableSpaceRelationId, tablespace, GetUserId(), ACL_CREATE) == ACLCHECK_OK;
#else
  return pg_tablespace_aclcheck(tablespace, GetUserId(), ACL_CREATE) == ACLCHECK_OK;
#endif
}

// Whether the postmaster has accepted a static background worker: it does not say so where
// max_worker_processes are in use. Postmaster only. 18 links its list both ways. (The macros that
// take a list apart are no C++.)
inline bool IsRegisteredWorker(const char* name) {
#if PG_VERSION_NUM >= 180000
  dlist_node* const end = &BackgroundWorkerList.head;
  dlist_node* node = end->next == nullptr ? end : end->next;
#else
  slist_node* const end = nullptr;
  slist_node* node = BackgroundWorkerList.head.next;
#endif
  for (; node != end; node = node->next) {
    const RegisteredBgWorker* worker = reinterpret_cast<const RegisteredBgWorker*>(
        reinterpret_cast<char*>(node) - offsetof(RegisteredBgWorker, rw_lnode));
    if (strcmp(worker->rw_worker.bgw_name, name) == 0) return true;
  }
  return false;
}

// `descriptor`, of which all columns are initialized. 19 wants to be told.
inline TupleDesc Finished(TupleDesc descriptor) {
#if PG_VERSION_NUM >= 190000
  TupleDescFinalize(descriptor);
#endif
  return descriptor;
}

// Plans what was rewritten. 19 asks for whom it is explained.
inline PlannedStmt* PlanRewritten(Query* query, const char* text, int options,
                                  ParamListInfo params) {
#if PG_VERSION_NUM >= 190000
  return pg_plan_query(query, text, options, params, nullptr);
#else
  return pg_plan_query(query, text, options, params);
#endif
}

// From now on `note` is told of each table of a query that is planned, with what the planner knows
// of it, after whoever had the hook. 19 has one for all kinds of relations.
template <void (*note)(PlannerInfo* root, Oid table, RelOptInfo* relation)>
class HookTableInfo {
 public:
#if PG_VERSION_NUM >= 190000
  static void Install() {
    previous_ = build_simple_rel_hook;
    build_simple_rel_hook = Run;
  }

 private:
  static void Run(PlannerInfo* root, RelOptInfo* relation, RangeTblEntry* entry) {
    if (previous_ != nullptr) previous_(root, relation, entry);
    if (entry->rtekind == RTE_RELATION) note(root, entry->relid, relation);
  }

  static inline build_simple_rel_hook_type previous_ = nullptr;
#else
  static void Install() {
    previous_ = get_relation_info_hook;
    get_relation_info_hook = Run;
  }

 private:
  static void Run(PlannerInfo* root, Oid table, bool is_parent, RelOptInfo* relation) {
    if (previous_ != nullptr) previous_(root, table, is_parent, relation);
    note(root, table, relation);
  }

  static inline get_relation_info_hook_type previous_ = nullptr;
#endif
};

// Executes forwards, until `limit` rows (0: all) were sent. 18 does not ask any more whether that
// is the only run of it (commit 3eea7a0c9).
inline void RunExecutor(QueryDesc* query, uint64 limit) {
#if PG_VERSION_NUM >= 180000
  ExecutorRun(query, ForwardScanDirection, limit);
#else
  ExecutorRun(query, ForwardScanDirection, limit, true);
#endif
}

// `node`, of `query`, with columns of joins replaced by those of what is joined. 16 wants to know
// of the planner (commit 2489d76c4).
inline Node* FlattenJoinVars(Query* query, Node* node) {
#if PG_VERSION_NUM >= 160000
  return flatten_join_alias_vars(nullptr, query, node);
#else
  return flatten_join_alias_vars(query, node);
#endif
}

// `query` with columns of the grouping step, which 18 has (commit 247dea89f), replaced by what they
// stand for.
inline void FlattenGroupVars([[maybe_unused]] Query* query) {
#if PG_VERSION_NUM >= 180000
  if (!query->hasGroupRTE) return;
  query->targetList = castNode(
      List, flatten_group_exprs(nullptr, query, reinterpret_cast<Node*>(query->targetList)));
  query->havingQual = flatten_group_exprs(nullptr, query, query->havingQual);
  ListCell* cell;
  foreach (cell, query->rtable) {
    RangeTblEntry* entry = lfirst_node(RangeTblEntry, cell);
    if (entry->rtekind != RTE_GROUP) continue;
    entry->rtekind = RTE_RESULT;
    entry->groupexprs = NIL;
  }
  query->hasGroupRTE = false;
#endif
}

// Notes which outer joins can make a column NULL. 16 wants to know (commit 2489d76c4).
constexpr bool HasNullingJoins() { return PG_VERSION_NUM >= 160000; }

inline void SetNullingJoins([[maybe_unused]] Var* var, [[maybe_unused]] Bitmapset* joins) {
#if PG_VERSION_NUM >= 160000
  var->varnullingrels = joins;
#endif
}

// `expressions` with virtual generated columns of the table, which is locked and has the number
// `index` in them, replaced by what they are computed from: no row contains them. 18 has these
// (commit 83ea6c540).
inline List* WithoutVirtualColumns(List* expressions, Oid relation, int index) {
#if PG_VERSION_NUM >= 180000
  Relation table = table_open(relation, NoLock);
  Node* expanded =
      expand_generated_columns_in_expr(reinterpret_cast<Node*>(expressions), table, index);
  table_close(table, NoLock);
  return castNode(List, expanded);
#else
  (void)relation;
  (void)index;
  return expressions;
#endif
}

inline bool MayUseSchema(Oid schema) {
#if PG_VERSION_NUM >= 160000
  return object_aclcheck(NamespaceRelationId, schema, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
#else
  return pg_namespace_aclcheck(schema, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
#endif
}

// Whether it tells by whom and how the client was authenticated, which only its backend knows. It
// exists since 16 (commit 0823d061b).
inline bool TellsSystemUser([[maybe_unused]] Oid function) {
#if PG_VERSION_NUM >= 160000
  return function == F_SYSTEM_USER;
#else
  return false;
#endif
}

// Whether `role` may call a function. 16 has one function for all kinds of objects (commit
// c727f511b).
inline bool MayExecute(Oid function, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
  return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

// 17 ends a process whose transaction takes long, where somebody has set that (commit 51efe38cb).
inline void IgnoreTransactionTimeout() {
  constexpr const char* kSetting = "transaction_timeout";
  if (GetConfigOption(kSetting, true, false) == nullptr) return;
  SetConfigOption(kSetting, "0", PGC_SUSET, PGC_S_OVERRIDE);
}

}  // namespace live_queries
