// Analyses queries again, as their subscribers and under a limit for locks, and compares what comes
// out with what they have: the same, another, an error, or a table that is locked. Process:
// decoder.
#include "subscribers/definition_check.hpp"

#include <algorithm>
#include <utility>

#include "analyze/settings_capture.hpp"
#include "pg/fault.hpp"
#include "pg/local_setting.hpp"
#include "pg/memory.hpp"
#include "pg/subtransaction.hpp"
#include "query/planner.hpp"
#include "registry/consumer.hpp"
#include "registry/database.hpp"
#include "subscribers/definition_copy.hpp"
#include "subscribers/mirror.hpp"
#include "subscribers/resetting.hpp"
#include "template/evaluation_clock.hpp"
#include "template/guard.hpp"
#include "template/route_body.hpp"
#include "template/template_table.hpp"
#include "template/unchecked.hpp"

extern "C" {
#include "common/hashfn.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

// So often a client is asked to analyse its query again, because it comes out as another one here:
// what it names may be changed each time.
constexpr int kMostReturns = 10;

constexpr const char* kTemporaryChild =
    "a temporary table of this connection is a child of the table";

enum class Finding : uint8_t { kSame, kDifferent, kLocked, kSpent, kError };

struct CheckResult {
  Finding finding;
  int sqlstate;
  const char* message;
};

List* ListIn(const DefinitionCopy& definition, DefinitionField field) {
  return static_cast<List*>(stringToNode(definition.Field(field)));
}

// So long the decoder waits in one pass for relations that somebody has locked; for each of them
// only once, however many queries depend on it.
constexpr int64 kLockBudgetUs = 500'000;
// The analysis of a query, or of what was frozen, takes as long as so many rows do, without
// anybody's fault.
constexpr int kRowsOfAnalysis = 100;

// What one pass over the templates remembers.
struct Pass {
  MemoryContext context;
  MemoryContext scratch;  // of one check
  List* locked;           // oids of relations that somebody has locked
  int64 lock_left_us;
  Oid waits_for;  // the relation
  // Of the present template.
  MemoryContext definitions;
  bool function_changed;
  List* temporary;       // Plan::temporary
  uint64_t values_here;  // of the definition that was looked at last
};

int64 LockMsLeft(const Pass& pass) { return pass.lock_left_us / 1000; }

// Whatever is locked by what follows is waited for no longer than the pass may.
void LimitLockWait(const Pass& pass) {
  SetLocally("lock_timeout", psprintf(INT64_FORMAT, std::max(LockMsLeft(pass), int64{1})));
}

void LockOne(Oid relation, Pass* pass) {
  if (ConditionalLockRelationOid(relation, AccessShareLock)) return;
  pass->waits_for = relation;
  if (LockMsLeft(*pass) <= 0)
    ereport(ERROR, errcode(ERRCODE_LOCK_NOT_AVAILABLE), errmsg("the table is locked"));
  const TimestampTz start = GetCurrentTimestamp();
  LimitLockWait(*pass);
  LockRelationOid(relation, AccessShareLock);
  pass->waits_for = InvalidOid;
  pass->lock_left_us -= GetCurrentTimestamp() - start;
}

[[noreturn]] void RaiseNotKnown() {
  ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
          errmsg("a view or a row security policy of the live query has changed and calls a "
                 "function that only its client can evaluate"),
          errhint("Subscribe again."));
  pg_unreachable();
}

// Whether subscribing again, as the subscriber, would give the same plan: strategy, template,
// route.
bool IsSameNow(const Template& one, const DefinitionCopy& definition, bool values_hold,
               Pass* pass) {
  ApplyOwnSettings(ListIn(definition, DefinitionField::kOwnSettings));
  FrozenValues frozen = {};
  frozen.kept_only = true;
  frozen.session = ListIn(definition, DefinitionField::kSessionValues);
  if (values_hold) frozen.held = ListIn(definition, DefinitionField::kCatalogValues);
  List* params = ListIn(definition, DefinitionField::kValues);
  // What its session had chosen among is not known here.
  const StrategyChoice choice = definition.strategy == Strategy::kStream
                                    ? StrategyChoice::kStreamIfPossible
                                    : StrategyChoice::kBest;
  Plan plan = MakePlan(definition.Field(DefinitionField::kQuery), params, frozen, choice);
  InMemoryContext(pass->context,
                  [&] { pass->temporary = list_concat(pass->temporary, plan.temporary); });
  // What a function that was replaced asks for, the client can evaluate when it refreshes.
  if (plan.frozen.unknown && !pass->function_changed) RaiseNotKnown();
  DisregardAdditions(&plan, one.spec);
  return !plan.frozen.unknown && plan.strategy == definition.strategy &&
         strcmp(SpecToText(plan.spec), one.spec_text) == 0 &&
         strcmp(nodeToString(plan.routing), definition.Field(DefinitionField::kRoute)) == 0;
}

// Whether `holds`, as `subscriber`, with these relations locked. In a subtransaction that is rolled
// back: no lock stays.
template <class Holds>
CheckResult Check(const Subscriber& subscriber, List* relations, Pass* pass, Holds&& holds) {
  Template* one = subscriber.route->owner;
  if (RoleIsSpent(one->role)) return {Finding::kSpent, 0, nullptr};
  CheckResult result = {Finding::kSame, 0, nullptr};
  const TimestampTz start = GetCurrentTimestamp();
  InRolledBackSubtransaction(
      [&] {
        LIVE_QUERIES_FAULT("definition-check");
        pass->waits_for = InvalidOid;
        ListCell* cell;
        foreach (cell, relations) LockOne(lfirst_oid(cell), pass);
        LimitLockWait(*pass);
        RequireSession(one->session, one->role);
        // What is evaluated are its parameters, not those of others.
        GuardAnalysis(subscriber.route, kRowsOfAnalysis, [&] {
          if (!InMemoryContext(pass->scratch, holds)) result.finding = Finding::kDifferent;
        });
      },
      [&](ErrorData* error) {
        const GuardFailure failure = AbandonGuard(*error);
        result = {Finding::kError, failure.sqlstate, pstrdup(failure.reason)};
        if (failure.role_timed_out) result.finding = Finding::kSpent;
        // Who may read what cannot be told now: nothing more is delivered until it can.
        if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE) {
          pass->lock_left_us -= GetCurrentTimestamp() - start;
          result.finding = OidIsValid(pass->waits_for) ? Finding::kLocked : Finding::kDifferent;
          // What its values would be cannot be told here, as where only its client's session knows.
          if (relations == NIL)
            result.finding = subscriber.attaching ? Finding::kError : Finding::kLocked;
        }
      });
  MemoryContextReset(pass->scratch);
  return result;
}

// Whether a query of this connection reads temporary tables of one of these schemas.
bool ReadsTemporary(const Subscriber& subscriber, const List* schemas) {
  const PGPROC& process = ProcGlobal->allProcs[subscriber.connection->index];
  return schemas != NIL && process.databaseId == MyDatabaseId &&
         list_member_oid(schemas, process.tempNamespaceId);
}

CheckResult CheckDefinition(const Subscriber& subscriber, const DefinitionCopy& definition,
                            bool values_hold, Pass* pass) {
  const Template* one = subscriber.route->owner;
  List* relations = one->spec.dependencies.relations;
  ListCell* cell;
  foreach (cell, pass->locked)
    if (list_member_oid(relations, lfirst_oid(cell))) return {Finding::kLocked, 0, nullptr};
  const CheckResult result = Check(subscriber, relations, pass,
                                   [&] { return IsSameNow(*one, definition, values_hold, pass); });
  if (result.finding == Finding::kLocked)
    InMemoryContext(pass->context,
                    [&] { pass->locked = lappend_oid(pass->locked, pass->waits_for); });
  return result;
}

bool HaveOneRoute(const DefinitionCopy* one, const DefinitionCopy& other) {
  return one != nullptr &&
         strcmp(one->Field(DefinitionField::kRoute), other.Field(DefinitionField::kRoute)) == 0;
}

// A definition for which nothing has changed speaks for all of its template that have the same
// text and the same frozen values: the rest, the parameters, has no part in what a change of the
// catalogs can change; unless their types have. All who listen were analysed with the same
// catalogs: whoever attaches waits for the check (attaching.cpp), or is looked at by itself. Those
// who attach may not have been: the same parameters have led to another route then.
bool SpeaksFor(const Template& one, const DefinitionCopy& checked, const DefinitionCopy& other) {
  auto same = [&](DefinitionField field) {
    return strcmp(checked.Field(field), other.Field(field)) == 0;
  };
  for (DefinitionField field : {DefinitionField::kQuery, DefinitionField::kSessionValues,
                                DefinitionField::kCatalogValues, DefinitionField::kOwnSettings})
    if (!same(field)) return false;
  if (same(DefinitionField::kValues)) return HaveOneRoute(&checked, other);
  return !one.spec.dependencies.params_read_catalogs;
}

void Tell(Subscriber* subscriber, const CheckResult& result) {
  if (result.finding == Finding::kError)
    Terminate(subscriber, result.sqlstate, result.message);
  else if (result.finding == Finding::kSpent)
    ResetNow(subscriber, kRoleIsSpentReason);
  else if (result.finding != Finding::kSame)
    ResetNow(subscriber, kRowsMayDifferReason);
}

// There may be very many of one template: none is kept longer than it is needed.
const DefinitionCopy* DefinitionOf(const Subscriber& subscriber, const Pass& pass) {
  return InMemoryContext(pass.definitions, [&]() -> const DefinitionCopy* {
    DefinitionCopy* definition = AllocateIn<DefinitionCopy>(pass.definitions);
    const int connection = subscriber.connection->index;
    return CopyDefinition(connection, subscriber.serial, definition) ? definition : nullptr;
  });
}

void Discard(const DefinitionCopy* definition) {
  if (definition == nullptr) return;
  pfree(const_cast<char*>(definition->fields[0]));  // the fields are one piece of memory
  pfree(const_cast<DefinitionCopy*>(definition));
}

// A subscriber whose values are to be looked at again.
struct Pending {
  Subscriber* subscriber;
  bool catalogs_changed;
};

List* TakePending(Template* one) {
  List* pending = NIL;
  ListCell* cell;
  List* subscribers = SubscribersOf(one);
  foreach (cell, subscribers) {
    Subscriber* subscriber = static_cast<Subscriber*>(lfirst(cell));
    WatchedValues* values = subscriber->values;
    if (values == nullptr || values->checked == one->values_asked) continue;
    const bool catalogs_changed = values->catalogs_seen != one->catalog_changes;
    values->checked = one->values_asked;
    values->catalogs_seen = one->catalog_changes;
    const bool gets_any = !subscriber->muted || subscriber->attaching;
    if (!gets_any) continue;
    Pending* item = static_cast<Pending*>(palloc(sizeof(Pending)));
    *item = {subscriber, catalogs_changed};
    pending = lappend(pending, item);
  }
  return pending;
}

uint64_t Digest(const char* text) {
  const uint64_t digest = hash_bytes_extended(reinterpret_cast<const unsigned char*>(text),
                                              static_cast<int>(strlen(text)), 0);
  return digest == 0 ? 1 : digest;
}

// Whether the values are those of the client; leaves in `*values_here` what they are.
bool ValuesHold(const DefinitionCopy& definition, uint64_t* values_here) {
  const int level = NewGUCNestLevel();
  ApplyOwnSettings(ListIn(definition, DefinitionField::kOwnSettings));
  const char* former = definition.Field(DefinitionField::kCatalogValues);
  const char* now =
      nodeToString(EvaluateAgain(ListIn(definition, DefinitionField::kCatalogValues)));
  *values_here = Digest(now);
  LeaveSettings(level);
  return strcmp(former, now) == 0;
}

// Whether those of all hold from the `*next` of `pending` on, which is left at the first that does
// not, or that raises an error.
bool AllHold(Template* one, List* pending, int* next, Pass* pass) {
  const DefinitionCopy* unchanged = nullptr;
  for (; *next < list_length(pending); ++*next) {
    const Pending& item = *static_cast<Pending*>(list_nth(pending, *next));
    const DefinitionCopy* definition = DefinitionOf(*item.subscriber, *pass);
    if (definition == nullptr) continue;
    bool hold = unchanged != nullptr && SpeaksFor(*one, *unchanged, *definition);
    if (!hold) {
      ContinueAnalysis(item.subscriber->route, kRowsOfAnalysis);
      hold = ValuesHold(*definition, &pass->values_here);
      MemoryContextReset(pass->scratch);
      if (hold) std::swap(unchanged, definition);
    }
    Discard(definition);
    if (!hold && (item.catalogs_changed || pass->values_here != item.subscriber->values->here))
      return false;
  }
  return true;
}

// Whether an error is one that the client would meet as well, whatever its session has.
bool IsOfItsOwn(const Subscriber* subscriber, const DefinitionCopy& definition,
                const CheckResult& error) {
  if (error.sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE) return true;
  return subscriber->values->here == 0 &&
         HaveAllOwnSettings(ListIn(definition, DefinitionField::kOwnSettings));
}

// A value that is another here from the start depends on what only the client's session has. To be
// sure that it is not a change that makes the difference, the client has to find the same values
// again, and so has this. Whether it changes later, such as by a right that it asks for as well,
// cannot be told here: it counts as changed whenever a catalog has.
void TellOfValues(const Pending& item, const CheckResult& result, Pass* pass) {
  const bool is_error = result.finding == Finding::kError;
  const uint64_t here = is_error ? Digest(result.message) : pass->values_here;
  Subscriber* subscriber = item.subscriber;
  const DefinitionCopy* definition = DefinitionOf(*subscriber, *pass);
  if (definition == nullptr) return;
  if (result.finding != Finding::kDifferent && !is_error) {
    subscriber->attaching ? AskToSubscribeAgain(subscriber) : Tell(subscriber, result);
  } else if (subscriber->attaching) {
    // What was told since it registered, its client may not have known of, the second time too.
    const bool may_be_told = item.catalogs_changed && definition->sent_back < kMostReturns;
    if (definition->values_here == here && !may_be_told)
      subscriber->values->here = here;
    else
      AskToSubscribeAgain(subscriber, here);
  } else if (subscriber->values->here == here && !item.catalogs_changed) {
    return;
  } else if (is_error && IsOfItsOwn(subscriber, *definition, result)) {
    Tell(subscriber, result);
  } else if (is_error || subscriber->values->here != 0) {
    ResetNow(subscriber, kRowsMayDifferReason);
  } else {
    Tell(subscriber, CheckDefinition(*subscriber, *definition, false, pass));
  }
}

// Only what was frozen may have changed, of those subscribers that are marked. Some catalog changes
// all the time, so no more is done than has to be: whether another value makes another query, the
// whole analysis says.
void CheckValuesOf(Template* one, Pass* pass) {
  pass->function_changed = one->function_changed;
  List* pending = TakePending(one);
  for (int next = 0; next < list_length(pending); ++next) {
    Subscriber* first = static_cast<Pending*>(list_nth(pending, next))->subscriber;
    const CheckResult result =
        Check(*first, NIL, pass, [&] { return AllHold(one, pending, &next, pass); });
    if (result.finding == Finding::kSame) break;
    TellOfValues(*static_cast<Pending*>(list_nth(pending, next)), result, pass);
  }
}

// What the subscriber has, compared with what it would have now. `*unchanged`, if there is one,
// speaks for others; if it is the same, `*definition` does so from now on.
CheckResult LookAt(const Subscriber& subscriber, const DefinitionCopy** unchanged,
                   const DefinitionCopy** definition, Pass* pass) {
  CheckResult result = {Finding::kSame, 0, nullptr};
  if (*unchanged == nullptr || !SpeaksFor(*subscriber.route->owner, **unchanged, **definition))
    result = CheckDefinition(subscriber, **definition, true, pass);
  if (result.finding == Finding::kSame) std::swap(*unchanged, *definition);
  if (ReadsTemporary(subscriber, pass->temporary))
    return {Finding::kError, ERRCODE_WRONG_OBJECT_TYPE, kTemporaryChild};
  return result;
}

// Of one that attaches: its client, which has read nothing yet, is to begin anew, when its time has
// come (attaching.cpp). Where that does not help, it is looked at once more when it listens, and
// told then what others are told.
void TellAttaching(Subscriber* subscriber, const CheckResult& result, int sent_back) {
  const bool may_help = result.finding == Finding::kDifferent || result.finding == Finding::kError;
  subscriber->outdated = may_help && sent_back < kMostReturns;
  subscriber->undecided = result.finding != Finding::kSame && !subscriber->outdated;
}

// Of a template at which nobody listens, as of a new one: those who attach are compared. Their
// clients have the tables locked, so whoever else wants such a lock waits for them, and is not
// waited for here. Clients may have analysed with different catalogs: so none speaks for others
// that have another route.
void CheckAttaching(Template* one, Pass* pass) {
  const int64 lock_left_us = std::exchange(pass->lock_left_us, 0);
  List* locked = std::exchange(pass->locked, NIL);
  const DefinitionCopy* unchanged = nullptr;
  const MirroredConnection* speaker = nullptr;
  ListCell* cell;
  List* subscribers = SubscribersOf(one);
  foreach (cell, subscribers) {
    Subscriber* subscriber = static_cast<Subscriber*>(lfirst(cell));
    const DefinitionCopy* definition =
        subscriber->attaching ? DefinitionOf(*subscriber, *pass) : nullptr;
    if (definition == nullptr) continue;
    if (speaker != subscriber->connection && !HaveOneRoute(unchanged, *definition)) {
      Discard(unchanged);
      unchanged = nullptr;
    }
    speaker = subscriber->connection;
    const int sent_back = definition->sent_back;
    const CheckResult result = LookAt(*subscriber, &unchanged, &definition, pass);
    Discard(definition);
    TellAttaching(subscriber, result, sent_back);
  }
  pass->lock_left_us = lock_left_us;
  pass->locked = locked;
}

// Who attaches may have analysed with other catalogs than those who listen, and analyses again.
void CheckListening(Template* one, Pass* pass) {
  const DefinitionCopy* unchanged = nullptr;
  ListCell* cell;
  List* subscribers = SubscribersOf(one);
  foreach (cell, subscribers) {
    Subscriber* subscriber = static_cast<Subscriber*>(lfirst(cell));
    if (subscriber->attaching && subscriber->undecided) continue;
    if (subscriber->attaching) {
      AskToSubscribeAgain(subscriber, subscriber->values == nullptr ? 0 : subscriber->values->here);
      continue;
    }
    const DefinitionCopy* definition =
        subscriber->muted ? nullptr : DefinitionOf(*subscriber, *pass);
    if (definition == nullptr) continue;
    // For one that was not found to be the same when it attached nobody else speaks.
    const DefinitionCopy* nobody = nullptr;
    const bool undecided = std::exchange(subscriber->undecided, false);
    const CheckResult result =
        LookAt(*subscriber, undecided ? &nobody : &unchanged, &definition, pass);
    Discard(nobody);
    Discard(definition);
    Tell(subscriber, result);
  }
}

// After its values: those hold.
void CheckDefinitionsOf(Template* one, Pass* pass) {
  DropPart(one);
  one->checked_at = DatabaseAt(MyConsumer()->database)->checks.Add(1) + 1;
  pass->function_changed = one->function_changed;
  one->function_changed = false;
  pass->temporary = NIL;
  one->listening == 0 ? CheckAttaching(one, pass) : CheckListening(one, pass);
}

// `check` for one template.
template <void (*check)(Template*, Pass*)>
void CheckOne(Template* one, void* context) {
  Pass* pass = static_cast<Pass*>(context);
  pass->definitions = AllocSetContextCreate(pass->context, "live_queries definitions of a template",
                                            ALLOCSET_DEFAULT_SIZES);
  InMemoryContext(pass->definitions, [&] { check(one, pass); });
  MemoryContextDelete(pass->definitions);
}

// Runs `body` with a Pass.
template <class Body>
void InPass(Body&& body) {
  MemoryContext context = AllocSetContextCreate(
      CurrentMemoryContext, "live_queries definition check", ALLOCSET_DEFAULT_SIZES);
  MemoryContext scratch =
      AllocSetContextCreate(context, "live_queries checked definition", ALLOCSET_DEFAULT_SIZES);
  Pass pass = {};
  pass.context = context;
  pass.scratch = scratch;
  pass.lock_left_us = kLockBudgetUs;
  // What functions read is as of now as well.
  PushActiveSnapshot(GetTransactionSnapshot());
  InMemoryContext(context, [&] { body(&pass); });
  PopActiveSnapshot();
  MemoryContextDelete(context);
}

}  // namespace

void CheckChangedDefinitions() {
  if (!AnyUnchecked()) return;
  InPass([](Pass* pass) {
    TakeUncheckedValues(CheckOne<CheckValuesOf>, pass);
    TakeUnchecked(CheckOne<CheckDefinitionsOf>, pass);
  });
}

}  // namespace live_queries
