// The check. Process: decoder.
#include "worker/definition_check.hpp"

#include <algorithm>

#include "match/evaluate.hpp"
#include "match/evaluation_clock.hpp"
#include "match/evaluation_guard.hpp"
#include "match/matcher.hpp"
#include "match/routing_index.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/subtransaction.hpp"
#include "query/analyze.hpp"
#include "query/settings_capture.hpp"
#include "worker/recent_commits.hpp"
#include "worker/registry_sync.hpp"

extern "C" {
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/guc.h"
}

namespace live_queries {
namespace {

constexpr const char* kRowsMayDiffer =
    "the table, a view, a function or row security of the query has changed";

constexpr const char* kTemporaryChild =
    "a temporary table of this connection is a child of the table";

enum class Finding : uint8_t { kSame, kDifferent, kLocked, kSpent, kError };

struct CheckResult {
  Finding finding;
  int sqlstate;
  const char* message;
  List* temporary;  // Analysis::temporary
};

List* FrozenFromText(const char* text) { return static_cast<List*>(stringToNode(text)); }

// So long the decoder waits in one pass for tables that somebody has locked; for each of them only
// once, however many queries there are on it.
constexpr int64 kLockBudgetUs = 500'000;
// The analysis of a query takes as long as so many rows do, without anybody's fault.
constexpr int kRowsOfAnalysis = 100;

// What one pass over the templates remembers.
struct Pass {
  List* locked;  // oids of tables whose queries could not be checked
  int64 lock_left_us;
};

// Locks the table of a template, as long as the pass may wait, and limits how long its analysis may.
void LockTable(Oid relation, Pass* pass) {
  const int64 left_ms = pass->lock_left_us / 1000;
  (void)set_config_option("lock_timeout", psprintf(INT64_FORMAT, std::max(left_ms, int64{1})),
                          PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
  if (left_ms > 0)
    LockRelationOid(relation, AccessShareLock);
  else if (!ConditionalLockRelationOid(relation, AccessShareLock))
    ereport(ERROR, errcode(ERRCODE_LOCK_NOT_AVAILABLE), errmsg("the table is locked"));
}

// Whether subscribing again would give the same, as the subscriber: template and route.
bool IsSameNow(const Template& one, const DefinitionCopy& definition, List** temporary) {
  const Identity identity = EnterIdentity(one.session, one.role, one.settings);
  FrozenValues frozen = {true, FrozenFromText(definition.Field(DefinitionField::kFrozen))};
  List* params = static_cast<List*>(stringToNode(definition.Field(DefinitionField::kValues)));
  Analysis analysis = Analyze(definition.Field(DefinitionField::kQuery), params, frozen);
  *temporary = analysis.temporary;
  DisregardAdditions(&analysis.spec, one.spec);
  const bool same =
      strcmp(SpecToText(analysis.spec), one.spec_text) == 0 &&
      strcmp(nodeToString(analysis.route_values), definition.Field(DefinitionField::kRoute)) == 0;
  RequireNoTrace();
  LeaveIdentity(identity);
  return same;
}

// In a subtransaction that is rolled back: no lock of the analysis stays.
CheckResult Check(const Target& target, const DefinitionCopy& definition, Pass* pass) {
  Template* one = target.route->owner;
  if (RoleIsSpent(one->role)) return {Finding::kSpent, 0, nullptr, NIL};
  CheckResult result = {Finding::kSame, 0, nullptr, NIL};
  const TimestampTz start = GetCurrentTimestamp();
  bool table_is_ours = false;
  InRolledBackSubtransaction(
      [&] {
        LIVE_QUERIES_FAULT("definition-check");
        LockTable(one->spec.relation, pass);
        table_is_ours = true;
        pass->lock_left_us -= GetCurrentTimestamp() - start;
        // What is evaluated are its parameters, not those of others.
        culprit = {one, target.route, false, false};
        StartEvaluationClock(one->role, kRowsOfAnalysis);
        if (!IsSameNow(*one, definition, &result.temporary)) result.finding = Finding::kDifferent;
        StopEvaluationClock();
      },
      [&](ErrorData* error) {
        const bool timed_out = EvaluationTimedOut();
        const bool role_timed_out = RoleTimedOut();
        StopEvaluationClock();
        result = {Finding::kError, error->sqlerrcode, pstrdup(error->message), NIL};
        // Who may read what cannot be told now: nothing more is delivered until it can.
        if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE) {
          pass->lock_left_us -= GetCurrentTimestamp() - start;
          result.finding = table_is_ours ? Finding::kDifferent : Finding::kLocked;
        }
        // Without the timeout, a function of the subscriber's has raised it: no other cancel
        // reaches the decoder.
        if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && timed_out) {
          result.message = kEvaluationTimeoutReason;
          if (role_timed_out) result.finding = Finding::kSpent;
        }
      });
  culprit = {};
  return result;
}

// Whether a query of this connection reads temporary tables of one of these schemas.
bool ReadsTemporary(const Target& target, const List* schemas) {
  const PGPROC& process = ProcGlobal->allProcs[target.connection];
  return schemas != NIL && process.databaseId == MyDatabaseId &&
         list_member_oid(schemas, process.tempNamespaceId);
}

bool SpeaksFor(const DefinitionCopy& checked, const DefinitionCopy& other) {
  for (DefinitionField field : {DefinitionField::kQuery, DefinitionField::kFrozen})
    if (strcmp(checked.Field(field), other.Field(field)) != 0) return false;
  return true;
}

// A subscription for which nothing has changed speaks for all of its template that have the same
// text and the same values of stable functions: the rest of their definitions, the parameters, has
// no part in what a change of the catalogs can change.
void CheckTemplate(Template* one, void* context) {
  Pass* pass = static_cast<Pass*>(context);
  DropCompiled(one);
  const bool must_reset = one->must_reset && FunctionsChanged(one);
  one->must_reset = false;
  const DefinitionCopy* unchanged = nullptr;
  List* temporary = NIL;
  ListCell* cell;
  List* targets = TargetsOf(one);
  foreach (cell, targets) {
    Target* target = static_cast<Target*>(lfirst(cell));
    if (target->attaching) {
      AskToSubscribeAgain(target);
      continue;
    }
    if (target->muted) continue;
    DefinitionCopy* definition = static_cast<DefinitionCopy*>(palloc0(sizeof(DefinitionCopy)));
    if (!CopyDefinition(target->connection, target->connection_id, target->serial, definition))
      continue;
    CheckResult result = {Finding::kSame, 0, nullptr, NIL};
    if (list_member_oid(pass->locked, one->spec.relation)) {
      result.finding = Finding::kLocked;
    } else if (unchanged == nullptr || !SpeaksFor(*unchanged, *definition)) {
      result = Check(*target, *definition, pass);
      temporary = list_concat(temporary, result.temporary);
      if (result.finding == Finding::kLocked)
        pass->locked = lappend_oid(pass->locked, one->spec.relation);
    }
    if (result.finding == Finding::kSame) unchanged = definition;
    if (ReadsTemporary(*target, temporary))
      result = {Finding::kError, ERRCODE_WRONG_OBJECT_TYPE, kTemporaryChild, NIL};
    if (result.finding == Finding::kError)
      TerminateTarget(target, result.sqlstate, result.message);
    else if (result.finding == Finding::kSpent)
      ResetTargetNow(target, kRoleIsSpentReason);
    else if (result.finding != Finding::kSame || must_reset)
      ResetTargetNow(target, kRowsMayDiffer);
  }
}

}  // namespace

void CheckChangedDefinitions() {
  if (!AnyUnchecked()) return;
  // The log is ahead of what is visible: a change that was decoded may not be in the catalogs yet.
  WaitForRecentCommits();
  MemoryContext context = AllocSetContextCreate(
      CurrentMemoryContext, "live_queries definition check", ALLOCSET_DEFAULT_SIZES);
  Pass pass = {NIL, kLockBudgetUs};
  InMemoryContext(context, [&] { TakeUnchecked(CheckTemplate, &pass); });
  MemoryContextDelete(context);
}

}  // namespace live_queries
