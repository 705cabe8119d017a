// Records for one queue: those of another one, then a message of its own in parts. Process: client
// backend.
#include "client/new_params.hpp"

#include "client/undo_log.hpp"
#include "deliver/throttle.hpp"
#include "model/message.hpp"
#include "model/origin.hpp"
#include "pg/fault.hpp"
#include "query/planner.hpp"
#include "query/result_columns.hpp"

extern "C" {
#include "nodes/nodes.h"
}

namespace live_queries {
namespace {

// For GroupNumber: of no consumer.
constexpr uint8_t kNoConsumer = UINT8_MAX;

List* ListIn(const DefinitionCopy& definition, DefinitionField field) {
  return static_cast<List*>(stringToNode(definition.Field(field)));
}

[[noreturn]] void RaiseLost(const LocalSubscription& subscription) {
  ereport(
      ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
      errmsg("live query \"%s\" has been reset, or has ended", CopyText(subscription.id.view())),
      errhint("Its messages say which. After a reset call live.refresh first."));
  pg_unreachable();
}

[[noreturn]] void RaiseChanged(const LocalSubscription& subscription) {
  ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
          errmsg("what live query \"%s\" depends on has changed", CopyText(subscription.id.view())),
          errhint("Call live.refresh first."));
  pg_unreachable();
}

// Whether the snapshot of `subscription` shows what another one of its id was told by this record.
// A difference, which is of no transaction, is older than the snapshot.
bool IsShown(const LocalSubscription& subscription, const RecordHeader& header) {
  const VisibilityBound& bound = subscription.bound;
  if (header.xid == 0 && !bound.at_position) return header.seq <= bound.lsn;
  return bound.Sees(header);
}

// Returns how many bytes that were.
size_t TakeOver(const LocalSubscription& former, LocalSubscription* subscription) {
  DeliveredCounts waiting = former.waiting;
  size_t bytes = 0;
  former.held->LookAtUnread([&](const RecordView& record) {
    RecordHeader header = record.header;
    header.subscription_serial = subscription->serial;
    if (IsShown(*subscription, header)) {
      subscription->held->Append(header, record.body);
      bytes += record.body.size();
    } else if (subscription->delivery == Delivery::kPoll) {
      waiting.TakeBack(header);
    }
  });
  subscription->waiting.Add(waiting);
  return bytes;
}

// What `former` has is there twice now, so many bytes. No other live query may be reset for want of
// that room: what is there from before the transaction counts once. One that began in the running
// subtransaction does not come back, so what it has is not needed. Where one of another savepoint
// does, it takes room, or this one is refused.
void CountOnce(LocalSubscription* former, size_t bytes) {
  if (IsAddedHere(*former)) {
    former->held->DiscardUnread();
    NoteLost(former, "it was given other parameters again");
  } else if (former->flow.committed()) {
    former->held->CountElsewhere(bytes);
  } else if (bytes > 0) {
    RequireRoomFor(0, RecordQueue::TotalBytes());
  }
}

// A message of changes, in the parts that are written so far.
struct Parts {
  LocalSubscription* subscription;
  Origin origin;
  uint64_t group;
  StringInfoData body;
  uint32_t count;
  size_t bytes;    // of those before
  size_t waiting;  // of all live queries, before the first
  bool whole;      // one is all: positions are those after the message
};

void EndPart(Parts* parts) {
  if (parts->count == 0) return;
  LIVE_QUERIES_FAULT("params-part");
  const std::string_view body = View(parts->body);
  parts->bytes += body.size();
  RequireRoomFor(parts->bytes, parts->waiting);
  RecordHeader header =
      ChangesHeader(parts->subscription->serial, parts->origin, parts->count, body);
  header.group = parts->group;
  KeepWaiting(parts->subscription, {header, body});
  resetStringInfo(&parts->body);
  parts->count = 0;
}

void AddChange(Parts* parts, const ResultChange& change) {
  if (!parts->whole && parts->body.len >= static_cast<int>(kMessageSplitBytes)) EndPart(parts);
  if (parts->count++ > 0) appendStringInfoChar(&parts->body, ',');
  StringInfoSink sink{&parts->body};
  switch (change.op) {
    case ChangeOp::kDelete:
      return WriteDelete(sink, change.key, change.row);
    case ChangeOp::kUpdate:
      return WriteUpdate(sink, change.key, change.row, change.old, change.position);
    case ChangeOp::kInsert:
      return WriteInsert(sink, change.key, change.row, change.position);
  }
}

void AddDifference(LocalSubscription* subscription, ResultDifference* difference, size_t waiting) {
  static uint64_t differences = 0;
  Parts parts = {};
  parts.subscription = subscription;
  parts.origin.seq = subscription->bound.lsn;
  parts.origin.committed_at = GetCurrentTimestamp();
  parts.group = GroupNumber(kNoConsumer, ++differences);
  parts.waiting = waiting;
  parts.whole = IsOfLists(*difference);
  initStringInfo(&parts.body);
  ReportDifference(difference, [&](const ResultChange& change) { AddChange(&parts, change); });
  EndPart(&parts);
  pfree(parts.body.data);
}

// Puts the first `count` of what waits behind the rest.
void MoveBack(RecordQueue* held, uint64_t count) {
  for (; count > 0; --count) {
    RecordView record;
    (void)held->Read(&record);
    held->Append(record.header, record.body);
  }
  held->ForgetRead();
}

}  // namespace

void RequireIntact(const LocalSubscription& subscription) {
  if (!subscription.flow.IsIntact()) RaiseLost(subscription);
  if (!subscription.flow.unread() || subscription.first.complete) return;
  ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
          errmsg("the snapshot of live query \"%s\" has not been read to its end",
                 CopyText(subscription.id.view())),
          errhint("Read the rest with live.snapshot first."));
}

void RequireNoThrottle(const LocalSubscription& subscription) {
  if (ThrottleOf(subscription) == 0) return;
  ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
          errmsg("a live query that is throttled cannot be given other parameters"),
          errhint("End the live query and subscribe with the new parameters."));
}

DefinitionCopy DefinitionOf(const LocalSubscription& subscription) {
  DefinitionCopy definition;
  const ConnectionShared* connection = MyConnectionIfAny();
  if (!CopyDefinition(connection->proc, subscription.serial, &definition)) RaiseLost(subscription);
  return definition;
}

FrozenValues SessionValues(const DefinitionCopy& definition) {
  FrozenValues frozen = {};
  frozen.session = ListIn(definition, DefinitionField::kSessionValues);
  return frozen;
}

void RequireNoClock(const Plan& plan) {
  if (plan.spec.refresh_ms == 0) return;
  ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
          errmsg("a live query that asks the clock cannot be given other parameters"),
          errhint("End the live query and subscribe with the new parameters."));
}

Plan PlanOf(const LocalSubscription& subscription, const DefinitionCopy& definition) {
  FrozenValues frozen = SessionValues(definition);
  frozen.held = ListIn(definition, DefinitionField::kCatalogValues);
  const char* spec = definition.Field(DefinitionField::kSpec);
  // As its consumer looks at it, too; what its session had chosen among then is not known any more.
  const StrategyChoice choice = definition.strategy == Strategy::kStream
                                    ? StrategyChoice::kStreamIfPossible
                                    : StrategyChoice::kBest;
  Plan plan = MakePlan(subscription.query, subscription.params, frozen, choice);
  RequireNoClock(plan);
  DisregardAdditions(&plan, SpecFromText(spec));
  if (plan.strategy != definition.strategy || strcmp(SpecToText(plan.spec), spec) != 0 ||
      strcmp(nodeToString(plan.routing), definition.Field(DefinitionField::kRoute)) != 0)
    RaiseChanged(subscription);
  return plan;
}

void RequireSameColumns(const Plan& before, const Plan& after) {
  // Parameters do not change that: a table did, and the query selects all that it has.
  const bool more =
      list_length(before.spec.result_columns) != list_length(after.spec.result_columns);
  const bool same = !more && before.spec.bag == after.spec.bag &&
                    GivesList(before) == GivesList(after) &&
                    strcmp(DescribeResultColumns(before), DescribeResultColumns(after)) == 0;
  if (same) return;
  ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
          errmsg("with these parameters the result has another key or other columns"),
          errdetail("What live.subscribe has told of them would not hold any more."),
          more ? errhint("It has columns that were added since: call live.refresh first.")
               : errhint("End the live query and subscribe with the new parameters."));
}

void GoOnFrom(LocalSubscription* former, LocalSubscription* subscription,
              ResultDifference* difference) {
  if (!former->flow.IsIntact()) RaiseLost(*former);
  if (!subscription->flow.IsIntact()) RaiseLost(*subscription);
  const uint64_t newer = subscription->held->unread();
  CountOnce(former, TakeOver(*former, subscription));
  AddDifference(subscription, difference, RecordQueue::TotalBytes());
  MoveBack(subscription->held, newer);
  subscription->shown = former->shown;
}

}  // namespace live_queries
