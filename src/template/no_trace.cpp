// The transaction of an evaluation is read-only and a security-restricted operation, but much is
// allowed there: a NOTIFY, a message in the log, an advisory lock, VACUUM's relatives, a
// replication slot (the decoder's own is the process's). The server has rules for what leaves no
// trace, those of parallel mode, but parallel mode as such forbids the subtransactions that
// EXCEPTION blocks are made of. So its rules are applied here, by what functions declare.
//
// The code of SQL functions and of those in trusted languages is not believed but looked at: each
// function that they call, however deep, comes by here before it can run, and each command too.
// Functions in C and in untrusted languages can do anything: they are taken by their declaration.
#include "template/no_trace.hpp"

#include "pg/compat.hpp"
#include "pg/hooks.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

planner_hook_type previous_planner_hook = nullptr;
get_relation_stats_hook_type previous_relation_stats_hook = nullptr;
get_index_stats_hook_type previous_index_stats_hook = nullptr;

// In this process, only a subscriber's identity is restricted.
bool IsEvaluating() { return InSecurityRestrictedOperation(); }

bool IsTrustedLanguage(Oid language) {
  HeapTuple tuple = SearchSysCache1(LANGOID, ObjectIdGetDatum(language));
  if (!HeapTupleIsValid(tuple)) return false;
  const bool trusted = reinterpret_cast<Form_pg_language>(GETSTRUCT(tuple))->lanpltrusted;
  ReleaseSysCache(tuple);
  return trusted;
}

// Whether what the function does is only known to its author.
bool IsOpaque(const FormData_pg_proc& function) {
  // An aggregate has no code: its functions come by themselves.
  if (function.prokind == PROKIND_AGGREGATE || function.prolang == SQLlanguageId) return false;
  return function.prolang == INTERNALlanguageId || function.prolang == ClanguageId ||
         !IsTrustedLanguage(function.prolang);
}

// Whether parallel mode would keep it to the process of the session, whose state it reads or
// changes. Extensions' functions are unsafe where nobody has thought of it: what is not volatile
// does not change anything then. Two of the server's are only because of a schema for temporary
// tables that they might make, see RequireNoTrace.
bool DependsOnSession(const FormData_pg_proc& function) {
  if (function.oid == F_CURRENT_SCHEMA || function.oid == F_CURRENT_SCHEMAS) return false;
  if (TellsSystemUser(function.oid) || function.proparallel == PROPARALLEL_RESTRICTED) return true;
  return function.proparallel == PROPARALLEL_UNSAFE &&
         (function.oid < FirstNormalObjectId || function.provolatile == PROVOLATILE_VOLATILE);
}

// Whether it acts on the server: what does, not everybody may call, but for two signals to other
// sessions. What is volatile beside that tells the time, or waits, or reads what nobody changes.
bool ActsOnServer(const FormData_pg_proc& function) {
  if (function.provolatile != PROVOLATILE_VOLATILE) return false;
  return function.oid == F_PG_CANCEL_BACKEND || function.oid == F_PG_TERMINATE_BACKEND ||
         !MayExecute(function.oid, ACL_ID_PUBLIC);
}

void RequireHarmless(Oid oid) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", oid);
  const FormData_pg_proc& function = *reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  const bool is_opaque = IsOpaque(function);
  const bool is_volatile = function.provolatile == PROVOLATILE_VOLATILE;
  const bool harmless = !is_opaque || (!DependsOnSession(function) && !ActsOnServer(function));
  ReleaseSysCache(tuple);
  if (harmless) return;
  const char* reason =
      is_volatile ? "which may have effects beside its result" : "which depends on the session";
  ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
          errmsg("a live query cannot call function %s(), %s", get_func_name(oid), reason));
}

void OnObjectAccess(ObjectAccessType access, Oid, Oid object) {
  if (access == OAT_FUNCTION_EXECUTE && IsEvaluating()) RequireHarmless(object);
}

void OnUtility(const UtilityCall& call) {
  if (IsEvaluating() && !IsA(call.statement(), VariableShowStmt))
    ereport(ERROR, errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
            errmsg("a live query cannot execute %s", CreateCommandName(call.planned->utilityStmt)));
  call.Run();
}

// A parallel worker is another process, without this guard.
template <class... Explain>  // for whom it is explained, since 19
PlannedStmt* OnPlan(Query* query, const char* text, int options, ParamListInfo params,
                    Explain... explain) {
  if (IsEvaluating()) options &= ~CURSOR_OPT_PARALLEL_OK;
  return (previous_planner_hook != nullptr ? previous_planner_hook : standard_planner)(
      query, text, options, params, explain...);
}

// What happens on another server, or in the program behind a file, is out of reach. Planning asks
// the foreign server already; here it has not yet.
void OnTableInfo(PlannerInfo*, Oid relation, RelOptInfo* info) {
  if (IsEvaluating() && info->fdwroutine != nullptr)
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("a live query cannot read foreign table \"%s\"", get_rel_name(relation)));
}

// Whether a query, or one around it, calls a volatile function in a condition. Those of SQL
// functions that were inlined are in it by now.
bool HasVolatileConditions(const PlannerInfo* root) {
  for (; root != nullptr; root = root->parent_root)
    if (contain_volatile_functions(reinterpret_cast<Node*>(root->parse->jointree))) return true;
  return false;
}

// With statistics, the planner's estimates would call the functions of operators, before anybody
// looks at these.
bool HidesStatistics(PlannerInfo* root, VariableStatData* variable) {
  if (!IsEvaluating() || !HasVolatileConditions(root)) return false;
  variable->statsTuple = nullptr;
  return true;
}

bool OnRelationStats(PlannerInfo* root, RangeTblEntry* entry, AttrNumber column,
                     VariableStatData* variable) {
  return HidesStatistics(root, variable) ||
         (previous_relation_stats_hook != nullptr &&
          previous_relation_stats_hook(root, entry, column, variable));
}

bool OnIndexStats(PlannerInfo* root, Oid index, AttrNumber column, VariableStatData* variable) {
  return HidesStatistics(root, variable) ||
         (previous_index_stats_hook != nullptr &&
          previous_index_stats_hook(root, index, column, variable));
}

}  // namespace

// In this process alone: no other has to ask itself anything.
void PrepareNoTrace() {
  HookObjectAccess<OnObjectAccess>::Install();
  HookUtility<OnUtility>::Install();
  previous_planner_hook = planner_hook;
  planner_hook = OnPlan;
  HookTableInfo<OnTableInfo>::Install();
  previous_relation_stats_hook = get_relation_stats_hook;
  get_relation_stats_hook = OnRelationStats;
  previous_index_stats_hook = get_index_stats_hook;
  get_index_stats_hook = OnIndexStats;
}

bool HasXid() { return TransactionIdIsValid(GetTopTransactionIdIfAny()); }

void RequireNoTrace(bool had_xid) {
  PortalHashTableDeleteAll();
  // That of an evaluator's long transaction stays after the query that has taken it.
  if (had_xid || !HasXid()) return;
  ereport(ERROR, errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION), errmsg("a live query cannot write"));
}

}  // namespace live_queries
