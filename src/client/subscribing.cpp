// Plan, register, wait to be attached, take the snapshot: in that order, and where several live
// queries begin together, from the wait on each step for all of them before the next one. Process:
// client backend.
#include "client/subscribing.hpp"

#include <algorithm>

#include "analyze/clock.hpp"
#include "analyze/settings_capture.hpp"
#include "analyze/tree.hpp"
#include "analyze/unsupported.hpp"
#include "client/consumer_choice.hpp"
#include "client/consumer_wait.hpp"
#include "client/first_result.hpp"
#include "client/new_params.hpp"
#include "client/preconditions.hpp"
#include "client/session.hpp"
#include "deliver/dispatch.hpp"
#include "deliver/throttle.hpp"
#include "evaluate/old_indexes.hpp"
#include "model/clock_steps.hpp"
#include "pg/error_context.hpp"
#include "pg/fault.hpp"
#include "pg/log_end.hpp"
#include "pg/memory.hpp"
#include "query/planner.hpp"
#include "query/result_columns.hpp"
#include "registry/problem.hpp"
#include "registry/registration.hpp"

extern "C" {
#include "access/xlog.h"
#include "commands/async.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

// So often the decoder may find other values of STABLE functions than it did before.
constexpr int kMostSurprises = 5;

struct Request : NewLiveQuery {
  bool named;   // in errors: it is one of several
  int decoder;  // the consumer, if the query is for a stream
  const char* settings;
  SessionIdentity session;
  LocalSubscription* former;       // whose place this one takes; nullptr: nobody's
  const DefinitionCopy* going_on;  // live.set_params: that one's, whose client keeps its result
};

// A live query that begins, until its first result is at hand.
struct Beginning {
  Request request;
  LocalSubscription* subscription;
  MemoryContext context;  // of the plan
  Plan plan;              // by the last analysis
  bool attached;          // as that has it
  // What that has found of catalogs, what else the decoder finds instead, and how often that was
  // something new.
  char* values;
  uint64_t values_here;
  int surprises;
  int sent_back;  // how often it had to be analysed again
};
using Beginnings = std::span<Beginning>;

void NameLiveQuery(void* id) {
  errcontext("live query \"%s\"", CopyText(static_cast<const SubscriptionId*>(id)->view()));
}

// Errors of `body` say which of several live queries they are about.
template <class Body>
void Naming(const Request& request, Body&& body) {
  if (!request.named) return body();
  WithErrorContext(NameLiveQuery, const_cast<SubscriptionId*>(&request.id), body);
}

// `{a,"b c",NULL}`, as the array of texts would be shown.
char* ParamsForPeople(List* params) {
  StringInfoData text;
  initStringInfo(&text);
  ListCell* cell;
  foreach (cell, params) {
    appendStringInfoChar(&text, text.len == 0 ? '{' : ',');
    const Node* param = static_cast<Node*>(lfirst(cell));
    if (param == nullptr) {
      appendStringInfoString(&text, "NULL");
      continue;
    }
    appendStringInfoChar(&text, '"');
    for (const char* c = strVal(param); *c != '\0'; ++c) {
      if (*c == '"' || *c == '\\') appendStringInfoChar(&text, '\\');
      appendStringInfoChar(&text, *c);
    }
    appendStringInfoChar(&text, '"');
  }
  appendStringInfoString(&text, text.len == 0 ? "{}" : "}");
  return text.data;
}

const char* SettingsFor(const Request& request, const Plan& plan) {
  return plan.reads_settings ? WithOwnSettings(request.settings) : request.settings;
}

// Enters what was analysed after so many checks (DatabaseShared::checks); returns its serial.
uint64_t Register(const Beginning& beginning, uint64_t analysed_at) {
  const Request& request = beginning.request;
  const Plan& plan = beginning.plan;
  NewSubscription subscription = {};
  subscription.id = request.id;
  subscription.consumer = beginning.subscription->consumer;
  subscription.replaces = request.former == nullptr ? 0 : request.former->serial;
  subscription.strategy = plan.strategy;
  subscription.delivery = request.delivery;
  subscription.role = GetUserId();
  subscription.session = request.session;
  subscription.analysed_at = analysed_at;
  subscription.values_here = beginning.values_here;
  subscription.sent_back = beginning.sent_back;
  auto set = [&](DefinitionField field, const char* text) {
    subscription.fields[static_cast<int>(field)] = text;
  };
  set(DefinitionField::kQuery, request.query);
  set(DefinitionField::kParams, ParamsForPeople(request.params));
  set(DefinitionField::kValues, nodeToString(request.params));
  set(DefinitionField::kTables, ParamsForPeople(plan.table_names));
  set(DefinitionField::kSettings, SettingsFor(request, plan));
  set(DefinitionField::kSpec, SpecToText(plan.spec));
  set(DefinitionField::kRoute, nodeToString(plan.routing));
  set(DefinitionField::kSessionValues, nodeToString(plan.frozen.session));
  set(DefinitionField::kCatalogValues, nodeToString(plan.frozen.catalogs));
  const bool evaluated_again = plan.frozen.catalogs != NIL;
  set(DefinitionField::kOwnSettings, nodeToString(evaluated_again ? CaptureOwnSettings() : NIL));
  return RegisterSubscription(subscription);
}

void KeepText(LocalSubscription* subscription, const Request& request) {
  InMemoryContext(subscription->context, [&] {
    subscription->query = pstrdup(request.query);
    subscription->params = static_cast<List*>(copyObjectImpl(request.params));
  });
}

// Makes the snapshot of the first results the active one, after the consumers have attached the
// subscriptions: what this does not see will be delivered. It is the latest one, whatever the
// isolation level, or that of the evaluator or refresher `consumer`: at a position of the log,
// where it shows what is in the log by now, as the other one does. If a query asks the clock, the
// time is what the evaluator tells the others then, and not before the one at which it was
// attached.
void PushFirstSnapshot(Beginnings all, int consumer) {
  if (consumer < kFirstEvaluator) {
    PushActiveSnapshot(GetLatestSnapshot());
    const XLogRecPtr end = LogEnd();
    for (const Beginning& one : all)
      one.subscription->bound = BoundOf(GetActiveSnapshot(), end, one.subscription->context);
    return;
  }
  bool any_clock = false;
  for (const Beginning& one : all) any_clock = any_clock || one.plan.spec.refresh_ms != 0;
  const PublishedMoment moment = PushSnapshotOf(consumer, LogEnd(), any_clock);
  for (Beginning& one : all) {
    const int refresh_ms = one.plan.spec.refresh_ms;
    const TimestampTz clock =
        refresh_ms == 0 ? DT_NOEND : TimestampTz{TimeShownAt(moment.clock, refresh_ms)};
    one.subscription->bound = BoundAtPosition(moment.position, clock);
    if (refresh_ms == 0) continue;
    InMemoryContext(one.context, [&] {
      one.plan.query = castNode(Query, SetClock(AsNode(one.plan.query), clock));
    });
  }
}

// Runs `body`, which plans under that snapshot.
template <class Body>
void UnderFirstSnapshot(Beginnings all, int consumer, Body&& body) {
  PushFirstSnapshot(all, consumer);
  consumer < kFirstEvaluator ? body() : WithOldIndexesOnly(body);
  PopActiveSnapshot();
}

void OpenResult(const Beginning& beginning) {
  LocalSubscription* subscription = beginning.subscription;
  if (!beginning.request.with_snapshot) return;
  if (subscription->flow.OnSnapshotStarted() == HeldMessages::kDiscard) {
    subscription->held->DiscardUnread();
    ForgetGathered(subscription);
  }
  OpenFirstResult(subscription, beginning.request.query, beginning.plan);
}

// All under one: that of the evaluator, if one of them is of that, or of its refresher.
void TakeSnapshot(Beginnings all) {
  int consumer = 0;
  for (const Beginning& one : all) consumer = std::max(consumer, one.subscription->consumer);
  UnderFirstSnapshot(all, consumer, [&] {
    for (const Beginning& one : all)
      Naming(one.request, [&] { InMemoryContext(one.context, [&] { OpenResult(one); }); });
  });
}

[[noreturn]] void RaiseGone(const char* id) {
  elog(ERROR, "live query \"%s\" is gone", id);
  pg_unreachable();
}

// Leads the client of the one whose place `subscription` takes from what that gives to what this
// one gives, under one snapshot: at a position of the log if one of the two tells of batches.
void GoOn(Beginning* beginning) {
  LocalSubscription* subscription = beginning->subscription;
  const Request& request = beginning->request;
  const Plan& plan = beginning->plan;
  const uint64_t former_serial = request.former->serial;
  RequireNoClock(plan);
  const Plan former_plan = PlanOf(*request.former, *request.going_on);
  RequireSameColumns(former_plan, plan);
  ResultDifference* difference = nullptr;
  UnderFirstSnapshot({beginning, 1}, std::max(subscription->consumer, request.former->consumer),
                     [&] { difference = FindDifference(former_plan, plan); });
  LIVE_QUERIES_FAULT("params-evaluated");
  WaitUntilOthersCanShow(*subscription);
  // Notifications wait for the commit: what has come until now is in the queues after this.
  DeliverMail(true);
  LIVE_QUERIES_FAULT("params-taken");
  // A function in the query may have called functions of ours.
  LocalSubscription* former = FindLocal(former_serial);
  if (former == nullptr) RaiseGone(CopyText(request.id.view()));
  GoOnFrom(former, subscription, difference);
}

// Analyses its query. What the decoder has found of its values is about those of the time before.
void Analyse(Beginning* beginning) {
  const Request& request = beginning->request;
  FrozenValues frozen = {};
  if (request.going_on != nullptr) frozen = SessionValues(*request.going_on);
  Plan& plan = beginning->plan;
  plan = MakePlan(request.query, request.params, frozen, ChoiceOfSession());
  if (plan.spec.refresh_ms != 0)
    plan.spec.refresh_ms = StepsOf(plan.spec.alarm, request.refresh_ms);
  LIVE_QUERIES_FAULT("subscribe-analysed");
  char* values = nodeToString(plan.frozen.catalogs);
  if (beginning->values == nullptr || strcmp(beginning->values, values) != 0)
    beginning->values_here = 0;
  beginning->values = MemoryContextStrdup(MemoryContextGetParent(beginning->context), values);
  SetConsumer(beginning->subscription, ConsumerFor(plan, request.decoder));
}

// Analyses its query and registers it. The locks of the analysis stay, so that doing it again never
// waits for who has queued up behind them meanwhile.
void AnalyseAndRegister(Beginning* beginning) {
  LocalSubscription* subscription = beginning->subscription;
  MemoryContextReset(beginning->context);
  InMemoryContext(beginning->context, [&] {
    const uint64_t analysed_at = FindDatabase(MyDatabaseId)->checks.Load();
    Analyse(beginning);
    // An evaluator starts without waiting for who may want the locks of the analysis.
    if (subscription->consumer >= kFirstEvaluator) WaitForConsumer(subscription->consumer);
    SetSerial(subscription, Register(*beginning, analysed_at));
  });
  LIVE_QUERIES_FAULT("subscribe-registered");
}

// Returns once its consumer has attached it, by that analysis; false if it has to be analysed
// again.
bool IsAttached(Beginning* beginning) {
  const LocalSubscription& subscription = *beginning->subscription;
  uint64_t found = 0;
  if (WaitForAttachment(subscription.consumer, subscription.serial, &found)) return true;
  // It may have been ended since it was looked at.
  ProblemShared ended = {};
  RemoveSubscription(subscription.serial, false, &ended);
  if (ended.sqlstate != 0) RaiseProblem(ended);
  if (found != 0 && found != beginning->values_here && ++beginning->surprises > kMostSurprises)
    RaiseUnsupported("a function that it calls gives another value each time");
  beginning->values_here = found;
  ++beginning->sent_back;
  return false;
}

// Leaves in each plan what the decoder has attached.
void Attach(Beginnings all) {
  for (bool done = false; !done;) {
    for (Beginning& one : all)
      if (!one.attached) Naming(one.request, [&] { AnalyseAndRegister(&one); });
    done = true;
    for (Beginning& one : all) {
      if (!one.attached) Naming(one.request, [&] { one.attached = IsAttached(&one); });
      done = done && one.attached;
    }
  }
}

void AddSubscription(Beginning* beginning) {
  const Request& request = beginning->request;
  // It may be that of another one of them.
  if (request.named) RequireNew(request.id);
  LocalSubscription* subscription = AddLocal(request.id, request.delivery);
  beginning->subscription = subscription;
  BeginThrottle(subscription, request.throttle_ms);
  KeepText(subscription, request);
  subscription->refresh_ms = request.refresh_ms;
  subscription->role = GetUserId();
  subscription->session = request.session;
  // Until its snapshot is taken: what has come by then is older.
  subscription->bound = BoundAtPosition(PG_UINT64_MAX, DT_NOEND);
  beginning->context =
      AllocSetContextCreate(CurrentMemoryContext, "live_queries plan", ALLOCSET_DEFAULT_SIZES);
}

// Keeps what of the plan matters later on.
void KeepPlan(const Beginning& beginning) {
  LocalSubscription* subscription = beginning.subscription;
  const Plan& plan = beginning.plan;
  SetOldRows(subscription, plan.strategy == Strategy::kStream && !plan.spec.full_identity
                               ? OldRows::kIdentity
                               : OldRows::kWhole);
  const char* settings = SettingsFor(beginning.request, plan);
  subscription->settings = MemoryContextStrdup(subscription->context, settings);
}

void ListenToChannel() {
  if (IsListening()) return;
  Async_Listen(MyConnectionIfAny()->channel);
  SetListening(true);
}

void Begin(Beginnings all) {
  RequireDecoding();
  RequireNothingWritten();
  for (const Beginning& one : all)
    Naming(one.request, [&] { RequireClient(one.request.delivery); });
  // Before any table is locked: a new slot waits for transactions that may want our locks.
  WaitForConsumer(all.front().request.decoder);
  for (Beginning& one : all) Naming(one.request, [&] { AddSubscription(&one); });
  // Planning evaluates functions of the query's author, who may be another role: see Refresh.
  Oid role;
  int context;
  GetUserIdAndSecContext(&role, &context);
  SetUserIdAndSecContext(role, context | SECURITY_RESTRICTED_OPERATION);
  Attach(all);
  for (const Beginning& one : all) KeepPlan(one);
  LIVE_QUERIES_FAULT("subscribe-attached");
  if (all.front().request.going_on != nullptr)
    GoOn(&all.front());
  else
    TakeSnapshot(all);
  LIVE_QUERIES_FAULT("subscribe-snapshot-taken");
  SetUserIdAndSecContext(role, context);
  bool told_at_once = false;
  for (const Beginning& one : all) {
    const Request& request = one.request;
    if (request.delivery == Delivery::kNotify) ListenToChannel();
    told_at_once = told_at_once || (!request.with_snapshot && request.going_on == nullptr);
  }
  LIVE_QUERIES_FAULT("subscribe-published");
  // All that changes from here on is told at once. They show one position.
  if (told_at_once) WaitUntilOthersCanShow(*all.front().subscription);
}

// Lets `request` begin in the place of the one that it names, as that one's role, with its session
// and settings. What it has counted and whether it is paused stay.
void BeginInPlace(const Request& request) {
  LocalSubscription* former = request.former;
  const Oid role = former->role;
  RequireSession(former->session, role);
  const bool paused = former->flow.paused();
  const uint64_t former_serial = former->serial;
  Oid outer_role;
  int outer_context;
  GetUserIdAndSecContext(&outer_role, &outer_context);
  const int settings_level = EnterSettings(former->settings);
  EnterSession(former->session);
  if (GetUserId() != role)
    SetUserIdAndSecContext(role, outer_context | SECURITY_LOCAL_USERID_CHANGE);
  LeaveAtCommit(former);
  Beginning beginning = {};
  beginning.request = request;
  Begin({&beginning, 1});
  const LocalSubscription* subscription = beginning.subscription;
  // Not before: until then there is no other one to be shown. Functions of the query may have ended
  // it.
  former = FindLocal(former_serial);
  if (former != nullptr) former->replaced = true;
  SetUserIdAndSecContext(outer_role, outer_context);
  LeaveSettings(settings_level);
  InheritCounters(former_serial, subscription->serial);
  if (paused) SetPaused(beginning.subscription, true);
}

// What `former` was made of.
Request RequestOf(LocalSubscription* former) {
  const bool streamed = former->consumer < kFirstEvaluator;
  Request request = {};
  request.id = former->id;
  request.decoder = streamed ? former->consumer : ConsumerUnderTest();
  request.query = former->query;
  request.params = former->params;
  request.settings = former->settings;
  request.session = former->session;
  request.delivery = former->delivery;
  request.throttle_ms = ThrottleOf(*former);
  request.refresh_ms = former->refresh_ms;
  request.former = former;
  return request;
}

// As the current role, with its settings.
Request RequestFor(const NewLiveQuery& query) {
  Request request = {query};
  request.decoder = ConsumerUnderTest();
  request.settings = CaptureSettings();
  request.session = CaptureSession(GetUserId());
  return request;
}

// The answer; its plan is not needed any more.
Subscribed SubscribedAs(const Beginning& beginning) {
  const Plan& plan = beginning.plan;
  const LocalSubscription* subscription = beginning.subscription;
  const Subscribed subscribed = {beginning.subscription, SeqId{subscription->bound.lsn},
                                 plan.strategy, DescribeResultColumns(plan)};
  MemoryContextDelete(beginning.context);
  return subscribed;
}

}  // namespace

Subscribed Subscribe(const NewLiveQuery& query) {
  Beginning beginning = {};
  beginning.request = RequestFor(query);
  RequireNew(query.id);
  Begin({&beginning, 1});
  return SubscribedAs(beginning);
}

void SubscribeAll(std::span<const NewLiveQuery> queries, Subscribed* subscribed) {
  if (queries.empty()) return;
  Beginning* beginnings = static_cast<Beginning*>(
      palloc_extended(sizeof(Beginning) * queries.size(), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
  const Request first = RequestFor(queries.front());
  for (size_t i = 0; i < queries.size(); ++i) {
    Request& request = beginnings[i].request;
    request = first;
    static_cast<NewLiveQuery&>(request) = queries[i];
    request.named = true;
  }
  Begin({beginnings, queries.size()});
  for (size_t i = 0; i < queries.size(); ++i) subscribed[i] = SubscribedAs(beginnings[i]);
}

void Refresh(LocalSubscription* former) {
  Request request = RequestOf(former);
  request.with_snapshot = true;
  BeginInPlace(request);
}

void SetParams(LocalSubscription* former, List* params) {
  RequireIntact(*former);
  RequireNoThrottle(*former);
  if (equal(former->params, params)) return;
  const DefinitionCopy definition = DefinitionOf(*former);
  Request request = RequestOf(former);
  request.params = params;
  request.going_on = &definition;
  BeginInPlace(request);
}

}  // namespace live_queries
