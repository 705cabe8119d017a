// Plan, register, wait to be attached, take the snapshot: in that order. Process: client backend.
#include "client/subscribing.hpp"

#include <algorithm>

#include "analyze/clock.hpp"
#include "analyze/settings_capture.hpp"
#include "analyze/tree.hpp"
#include "analyze/unsupported.hpp"
#include "client/consumer_wait.hpp"
#include "client/first_result.hpp"
#include "client/new_params.hpp"
#include "client/session.hpp"
#include "deliver/dispatch.hpp"
#include "deliver/throttle.hpp"
#include "evaluate/old_indexes.hpp"
#include "model/clock_steps.hpp"
#include "pg/compat.hpp"
#include "pg/compat_decoding.hpp"
#include "pg/fault.hpp"
#include "pg/log_end.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "query/planner.hpp"
#include "query/result_columns.hpp"
#include "registry/problem.hpp"
#include "registry/registration.hpp"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/async.h"
#include "replication/slot.h"
#include "storage/proc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

// So often the decoder may find other values of STABLE functions than it did before.
constexpr int kMostSurprises = 5;

struct Request {
  SubscriptionId id;
  int decoder;  // the consumer, if the query is for a stream
  const char* query;
  List* params;
  const char* settings;
  SessionIdentity session;
  bool with_snapshot;
  Delivery delivery;
  int64 throttle_ms;
  int refresh_ms;
  LocalSubscription* former;       // whose place this one takes; nullptr: nobody's
  const DefinitionCopy* going_on;  // live.set_params: that one's, whose client keeps its result
};

void RequireDecoding() {
  if (RecoveryInProgress())
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("cannot watch a query while the server is in recovery"),
            errhint("Subscribe on the primary, or after the promotion of this server."));
  if (wal_level < kLeastWalLevel)
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("watching a query requires wal_level = %s", kLeastWalLevelName),
            errhint("Set wal_level = %s and restart the server.", kLeastWalLevelName));
  if (max_replication_slots == 0)
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("watching a query requires a replication slot"),
            errhint("Set max_replication_slots to at least 1 and restart the server."));
}

// The transaction's own changes would be in its snapshot and, once committed, in the feed as well.
void RequireNothingWritten() {
  if (!TransactionIdIsValid(GetTopTransactionIdIfAny())) return;
  ereport(ERROR, errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
          errmsg("cannot take the snapshot of a live query in a transaction that has written"),
          errhint("Subscribe or refresh first, or in a transaction of its own."));
}

void RequireClient(Delivery delivery) {
  if (InSecurityRestrictedOperation())
    ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
            errmsg("cannot watch a query within a security-restricted operation"));
  if (delivery == Delivery::kNotify && MyBackendType != B_BACKEND)
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("only a client connection can receive notifications"),
            errhint("Use delivery => 'poll'."));
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

// The worker that keeps what `plan` is about live. A connection has one evaluator for all: the
// batches of several would end at different positions, and it shows one point in time.
int ConsumerOf(const Plan& plan, const Request& request) {
  if (plan.strategy == Strategy::kStream) return request.decoder;
  for (const LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next)
    if (one->consumer >= kFirstEvaluator) return one->consumer;
  return kFirstEvaluator + ProcIndex(MyProc) % std::max(evaluators, 1);
}

// When and where a query was analysed, and for whom.
struct Circumstances {
  int consumer;
  XLogRecPtr analysed_at;
  uint64_t values_here;
};

uint64_t Register(const Request& request, const Plan& plan, const Circumstances& circumstances) {
  NewSubscription subscription = {};
  subscription.id = request.id;
  subscription.consumer = circumstances.consumer;
  subscription.replaces = request.former == nullptr ? 0 : request.former->serial;
  subscription.strategy = plan.strategy;
  subscription.delivery = request.delivery;
  subscription.role = GetUserId();
  subscription.session = request.session;
  subscription.analysed_at = circumstances.analysed_at;
  subscription.values_here = circumstances.values_here;
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

// Makes the snapshot of the first result the active one, after the consumer has attached the
// subscription: what this does not see will be delivered. It is the latest one, whatever the
// isolation level; an evaluator's shows all that is in the log by now, as that of a stream does.
// If the query asks the clock, the time is what it tells the others then.
void PushFirstSnapshot(LocalSubscription* subscription, int consumer, Plan* plan) {
  if (consumer < kFirstEvaluator) {
    PushActiveSnapshot(GetLatestSnapshot());
    subscription->bound = BoundOf(GetActiveSnapshot(), subscription->context);
    return;
  }
  const PublishedMoment moment = PushSnapshotOf(consumer, LogEnd());
  const int refresh_ms = plan->spec.refresh_ms;
  const TimestampTz clock =
      refresh_ms == 0 ? DT_NOEND : TimestampTz{TimeShownAt(moment.clock, refresh_ms)};
  subscription->bound = BoundAtPosition(moment.position, clock);
  if (refresh_ms != 0) plan->query = castNode(Query, SetClock(AsNode(plan->query), clock));
}

// Runs `body`, which plans under that snapshot.
template <class Body>
void UnderFirstSnapshot(LocalSubscription* subscription, int consumer, Plan* plan, Body&& body) {
  PushFirstSnapshot(subscription, consumer, plan);
  subscription->bound.at_position ? WithOldIndexesOnly(body) : body();
  PopActiveSnapshot();
}

void TakeSnapshot(LocalSubscription* subscription, const Request& request, Plan plan) {
  UnderFirstSnapshot(subscription, subscription->consumer, &plan, [&] {
    if (!request.with_snapshot) return;
    if (subscription->flow.OnSnapshotStarted() == HeldMessages::kDiscard) {
      subscription->held->DiscardUnread();
      ForgetGathered(subscription);
    }
    OpenFirstResult(subscription, request.query, plan);
  });
}

[[noreturn]] void RaiseGone(const char* id) {
  elog(ERROR, "live query \"%s\" is gone", id);
  pg_unreachable();
}

// Leads the client of the one whose place `subscription` takes from what that gives to what this
// one gives, under one snapshot: at a position of the log if one of the two tells of batches.
void GoOn(LocalSubscription* subscription, const Request& request, Plan plan) {
  const uint64_t former_serial = request.former->serial;
  RequireNoClock(plan);
  const Plan former_plan = PlanOf(*request.former, *request.going_on);
  RequireSameColumns(former_plan, plan);
  ResultDifference* difference = nullptr;
  UnderFirstSnapshot(subscription, std::max(subscription->consumer, request.former->consumer),
                     &plan, [&] { difference = FindDifference(former_plan, plan); });
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

// Analyses the query and registers `subscription`; leaves in `plan` what the decoder has
// attached. The locks of the analysis stay, so that
// doing it again never waits for who has queued up behind them meanwhile.
void Attach(LocalSubscription* subscription, const Request& request, Plan* plan) {
  uint64_t values_here = 0;
  char* values = nullptr;
  for (int surprises = 0;;) {
    FrozenValues frozen = {};
    if (request.going_on != nullptr) frozen = SessionValues(*request.going_on);
    const XLogRecPtr analysed_at = GetXLogInsertRecPtr();
    *plan = MakePlan(request.query, request.params, frozen, ChoiceOfSession());
    if (plan->spec.refresh_ms != 0)
      plan->spec.refresh_ms = StepsOf(plan->spec.alarm, request.refresh_ms);
    LIVE_QUERIES_FAULT("subscribe-analysed");
    char* values_now = nodeToString(plan->frozen.catalogs);
    // What the decoder has found is about the values of the time before.
    if (values == nullptr || strcmp(values, values_now) != 0) values_here = 0;
    values = values_now;
    subscription->consumer = ConsumerOf(*plan, request);
    // An evaluator starts without waiting for who may want the locks of the analysis.
    if (plan->strategy != Strategy::kStream) WaitForConsumer(subscription->consumer);
    const Circumstances circumstances = {subscription->consumer, analysed_at, values_here};
    SetSerial(subscription, Register(request, *plan, circumstances));
    LIVE_QUERIES_FAULT("subscribe-registered");
    uint64_t found = 0;
    if (WaitForAttachment(subscription->consumer, subscription->serial, &found)) return;
    // It may have been ended since it was looked at.
    ProblemShared ended = {};
    RemoveSubscription(subscription->serial, false, &ended);
    if (ended.sqlstate != 0) RaiseProblem(ended);
    if (found != 0 && found != values_here && ++surprises > kMostSurprises)
      RaiseUnsupported("a function that it calls gives another value each time");
    values_here = found;
  }
}

Subscribed Begin(const Request& request) {
  RequireDecoding();
  RequireNothingWritten();
  RequireClient(request.delivery);
  // Before any table is locked: a new slot waits for transactions that may want our locks.
  WaitForConsumer(request.decoder);
  LocalSubscription* subscription = AddLocal(request.id, request.delivery);
  BeginThrottle(subscription, request.throttle_ms);
  KeepText(subscription, request);
  subscription->refresh_ms = request.refresh_ms;
  subscription->role = GetUserId();
  subscription->session = request.session;
  // Planning evaluates functions of the query's author, who may be another role: see Refresh.
  Oid role;
  int context;
  GetUserIdAndSecContext(&role, &context);
  SetUserIdAndSecContext(role, context | SECURITY_RESTRICTED_OPERATION);
  Plan plan = {};
  Attach(subscription, request, &plan);
  SetOldRows(subscription, plan.strategy == Strategy::kStream && !plan.spec.full_identity
                               ? OldRows::kIdentity
                               : OldRows::kWhole);
  subscription->settings =
      InMemoryContext(subscription->context, [&] { return pstrdup(SettingsFor(request, plan)); });
  LIVE_QUERIES_FAULT("subscribe-attached");
  if (request.going_on != nullptr)
    GoOn(subscription, request, plan);
  else
    TakeSnapshot(subscription, request, plan);
  LIVE_QUERIES_FAULT("subscribe-snapshot-taken");
  SetUserIdAndSecContext(role, context);
  if (request.delivery == Delivery::kNotify && !IsListening()) {
    Async_Listen(MyConnectionIfAny()->channel);
    SetListening(true);
  }
  LIVE_QUERIES_FAULT("subscribe-published");
  // All that changes from here on is told at once.
  if (!request.with_snapshot && request.going_on == nullptr) WaitUntilOthersCanShow(*subscription);
  return {subscription, SeqId{subscription->bound.lsn}, plan.strategy, DescribeResultColumns(plan)};
}

// A client must not take the end of an earlier one of that id for the new one's.
void RequireNew(const SubscriptionId& id) {
  const bool ended = FindLocal(id) == nullptr;
  if (ended && !EndWaitsForOthers(id)) return;
  ereport(ERROR, errcode(ERRCODE_DUPLICATE_OBJECT),
          errmsg("this connection already has a live query \"%s\"", CopyText(id.view())),
          ended ? errdetail(
                      "It is over, and live.poll has not told that to the role it belongs to yet.")
                : 0,
          ended ? errhint("Poll as that role, or choose another id.") : 0);
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
  LocalSubscription* subscription = Begin(request).subscription;
  // Not before: until then there is no other one to be shown. Functions of the query may have ended
  // it.
  former = FindLocal(former_serial);
  if (former != nullptr) former->replaced = true;
  SetUserIdAndSecContext(outer_role, outer_context);
  LeaveSettings(settings_level);
  InheritCounters(former_serial, subscription->serial);
  if (paused) SetPaused(subscription, true);
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

}  // namespace

Subscribed Subscribe(const SubscriptionId& id, const char* query, List* params, bool with_snapshot,
                     Delivery delivery, int64 throttle_ms, int refresh_ms) {
  Request request = {};
  request.id = id;
  request.decoder = ConsumerUnderTest();
  request.query = query;
  request.params = params;
  request.settings = CaptureSettings();
  request.session = CaptureSession(GetUserId());
  request.with_snapshot = with_snapshot;
  request.delivery = delivery;
  request.throttle_ms = throttle_ms;
  request.refresh_ms = refresh_ms;
  RequireNew(id);
  return Begin(request);
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
