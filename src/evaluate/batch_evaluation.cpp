// The loop over the templates. What a template has of a batch is told as of the last transaction of
// it that has changed anything, whoever is concerned: that is one moment for all. Process:
// evaluator.
#include "evaluate/batch_evaluation.hpp"

#include <utility>

#include "decode/unseen_commits.hpp"
#include "evaluate/clock_templates.hpp"
#include "evaluate/delta_template.hpp"
#include "evaluate/kept_groups.hpp"
#include "model/message.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "registry/consumer.hpp"
#include "template/evaluation_clock.hpp"
#include "template/guard.hpp"
#include "template/route_body.hpp"
#include "template/routing_index.hpp"
#include "template/template_table.hpp"

extern "C" {
#include "storage/lmgr.h"
}

namespace live_queries {
namespace {

// So long a batch waits for tables that somebody else has locked, in all.
constexpr int kLockBudgetMs = 500;
// What of a result may wait in memory to be compared.
constexpr uint64 kMostBytes = uint64{256} * 1024 * 1024;
// From so many templates on, changed rows are looked through before: to read them takes as long as
// it takes to evaluate one or two templates that they do not matter for.
constexpr int kManyTemplates = 4;

constexpr const char* kLockedReason = "a table of the query was locked for too long";
constexpr const char* kTruncatedReason = "a table of the query was truncated";
constexpr const char* kSameKeyReason = "two rows of the result had the same key for a while";
constexpr const char* kCostlyReason = "others would wait too long for the query to be evaluated";
constexpr const char* kRewrittenReason = "all rows of a table of the query were rewritten";

TouchedRoutes touched = {};
uint64 change_count = 0;

template <class Visit>
void ForEachOn(Oid relation, Visit&& visit) {
  ForEachTemplateOn(Subject::kRows, relation, visit);
}

// Templates with somebody who listens, in CurrentMemoryContext.
List* ConcernedTemplates(const EvaluatorBatch& batch) {
  List* concerned = NIL;
  auto add = [&](Template* common) {
    DeltaTables* tables = DeltaTablesOf(common);
    if (common->listening == 0) ForgetKeptOf(common);
    if (common->listening == 0 || tables == nullptr || tables->seen == batch.number) return;
    tables->seen = batch.number;
    concerned = lappend(concerned, common);
  };
  if (batch.dirty->unknown()) {
    ForEachTemplate(add);
  } else {
    batch.dirty->ForEachWatch([&](uint32 number) { ForEachOn(RelationOfWatch(number), add); });
    batch.dirty->ForEachTable([&](const DirtyTable& table) {
      ForEachOn(table.relation, add);
      if (table.has_other_children) ForEachTemplateOn(Subject::kChildren, table.relation, add);
    });
    ForEachWithNewTime(batch.before.clock, batch.after.clock, add);
  }
  ListCell* cell;
  foreach (cell, concerned) DeltaTablesOf(static_cast<Template*>(lfirst(cell)))->seen = 0;
  return concerned;
}

// Not by the server's wait, which others would have to queue up behind, and whose end is an error.
bool LockTables(const QuerySpec& spec, TimestampTz until) {
  auto lock = [&](Oid relation) {
    while (!ConditionalLockRelationOid(relation, AccessShareLock)) {
      if (GetCurrentTimestamp() >= until) return false;
      PauseForVisibility();
    }
    return true;
  };
  ListCell* cell;
  foreach (cell, spec.parents)
    if (!lock(lfirst_oid(cell))) return false;
  foreach (cell, spec.relations)
    if (!lock(lfirst_oid(cell))) return false;
  return true;
}

// Why those who listen cannot be told what has changed; nullptr: they can.
const char* WhyLost(const Template& common, const DeltaTables& tables,
                    const EvaluatorBatch& batch) {
  if (tables.long_record.apart) return kCostlyReason;
  if (tables.locked_in == batch.number) return kLockedReason;
  if (RoleIsSpent(common.role)) return kRoleIsSpentReason;
  const char* reason = nullptr;
  ListCell* cell;
  foreach (cell, tables.relations) {
    const DirtyTable* table = batch.dirty->FindTable(lfirst_oid(cell));
    if (table != nullptr && table->truncated) return kTruncatedReason;
    if (table != nullptr && table->rewritten) reason = kRewrittenReason;
  }
  if (reason == nullptr && !StoragesAreTheSame(tables)) reason = kRewrittenReason;
  foreach (cell, common.spec.parents) {
    const DirtyTable* table = batch.dirty->FindTable(lfirst_oid(cell));
    if (table != nullptr && table->has_other_children) reason = kRowsMayDifferReason;
  }
  return reason;
}

// Of all that the batch tells.
uint64 SeqOf(const EvaluatorBatch& batch) {
  const DirtyRecordShared* last = batch.dirty->span().last;
  return batch.dirty->unknown() || last == nullptr ? batch.after.position : last->commit_end;
}

// As a message lists them.
std::string_view XidsOf(const DirtySpan& span) {
  StringInfoData text;
  initStringInfo(&text);
  ListCell* cell;
  foreach (cell, span.records)
    appendStringInfo(&text, "%s%u", text.len == 0 ? "" : ",",
                     static_cast<const DirtyRecordShared*>(lfirst(cell))->xid);
  return View(text);
}

// Where the query asks the clock, the message says what that shows after it, and is not that of one
// transaction if the time has moved.
Origin OriginOf(const Template& common, const DeltaTables& tables, bool rows_are_known,
                const EvaluatorBatch& batch) {
  const int refresh_ms = common.spec.refresh_ms;
  Origin origin = {SeqOf(batch), InvalidTransactionId, GetCurrentTimestamp(), {}};
  if (refresh_ms != 0) origin.committed_at = TimeShownAt(batch.after.clock, refresh_ms);
  const DirtySpan span = batch.dirty->SpanOf(tables.watches.all, tables.relations);
  if (!rows_are_known || span.last == nullptr) return origin;
  if (refresh_ms == 0) origin.committed_at = span.last->committed_at;
  if (span.first() == span.last && !ClockMoves(common, batch.before.clock, batch.after.clock))
    origin.xid = span.last->xid;
  else
    origin.xids = XidsOf(span);
  return origin;
}

ClockPair ClockOf(const Template& common, const EvaluatorBatch& batch) {
  const int refresh_ms = common.spec.refresh_ms;
  if (refresh_ms == 0) return {};
  return {TimeShownAt(batch.before.clock, refresh_ms), TimeShownAt(batch.after.clock, refresh_ms)};
}

// The evaluation of one template.
struct Evaluating {
  const EvaluatorBatch* batch;
  Template* common;
  const DeltaTables* tables;
  bool rows_are_known;
  bool list;  // DeltaPlan::list
  Origin origin;
  const Sink* sink;
  RouteSet* found;  // the routes of a change
};

DirtyRows FindDirty(const StaleSet& set, void* context) {
  const auto& at = *static_cast<const Evaluating*>(context);
  if (!at.rows_are_known) return {true, false, nullptr};
  return at.batch->dirty->Find(set, at.tables->watches.of_set[set.number]);
}

const Datum* FindWatched(const Datum* values, const bool* nulls, void* context) {
  const auto& at = *static_cast<const Evaluating*>(context);
  FindRoutes(at.common->routing, values, nulls, at.found);
  return at.found->empty() ? nullptr : at.found->All().front()->values;
}

struct WatchedVisit {
  void (*visit)(const Datum* values, void* visitor);
  void* visitor;
};

void VisitRoute(Route* route, void* context) {
  const auto& each = *static_cast<WatchedVisit*>(context);
  if (route->listening > 0) each.visit(route->values, each.visitor);
}

void ForEachWatched(void (*visit)(const Datum* values, void* visitor), void* visitor,
                    void* context) {
  WatchedVisit each = {visit, visitor};
  ForEachRoute(static_cast<const Evaluating*>(context)->common, VisitRoute, &each);
}

void Report(const ResultChange& change, void* context) {
  const auto& at = *static_cast<const Evaluating*>(context);
  ++change_count;
  FindRoutes(at.common->routing, change.routes, change.route_nulls, at.found);
  for (Route* route : at.found->All()) {
    StringInfoSink body = AddChange(route, &touched);
    switch (change.op) {
      case ChangeOp::kDelete:
        WriteDelete(body, change.key, change.row);
        break;
      case ChangeOp::kUpdate:
        WriteUpdate(body, change.key, change.row, change.old, change.position);
        break;
      case ChangeOp::kInsert:
        WriteInsert(body, change.key, change.row, change.position);
        break;
    }
  }
  // Positions in a list are those after the whole message.
  if (!at.list) HandOverLong(&touched, at.origin, *at.sink);
}

void NoteCost(const DeltaCost& cost) {
  ConsumerShared* consumer = MyConsumer();
  if (!cost.nothing) consumer->evaluations.Add(1);
  if (cost.whole) consumer->refreshes.Add(1);
  consumer->probe_us.Add(static_cast<uint64>(cost.probe_us));
  consumer->query_us.Add(static_cast<uint64>(cost.query_us));
  consumer->difference_us.Add(static_cast<uint64>(cost.difference_us));
}

// Returns why those who listen could not be told; nullptr: they were. A key by which the query was
// planned may not have been there yet, or any more, at the position of a snapshot, while the
// catalogs are those of now.
const char* EvaluateInGuard(Template* common, DeltaTables* tables, const EvaluatorBatch& batch,
                            ChangedRows* rows, const Sink& sink) {
  const char* lost = nullptr;
  Guard(common, batch.dirty->RowCount(tables->watches.all) + 1, [&] {
    const DeltaTemplate* part = DeltaPartOf(common);
    tables = DeltaTablesOf(common);
    LIVE_QUERIES_FAULT("evaluator-evaluate");
    RouteSet found;
    found.Prepare(CurrentMemoryContext);
    Evaluating at = {&batch, common, tables, false, part->plan.list, {}, &sink, &found};
    at.rows_are_known = !batch.dirty->unknown() && RowsAreKnownFrom(tables, batch.before.position);
    at.origin = OriginOf(*common, *tables, at.rows_are_known, batch);
    DeltaCost cost = {};
    // With an error it stays so.
    const bool failed = std::exchange(tables->failed, true);
    WhileDoing(at.rows_are_known ? Doing::kEvaluating : Doing::kCatchingUp, [&] {
      cost = EvaluateDelta(
          *part->evaluation, {batch.before.snapshot, batch.after.snapshot}, ClockOf(*common, batch),
          kMostBytes,
          {FindDirty, FindWatched, ForEachWatched, common->listening, rows, &at, failed}, Report,
          &at);
    });
    tables->failed = failed;
    NoteCost(cost);
    if (at.rows_are_known && part->plan.why_whole == nullptr && common->spec.refresh_ms == 0)
      NoteEvaluation(*common, cost.probe_us + cost.query_us + cost.difference_us,
                     batch.after.position, &tables->long_record);
    BlamingNobody([&] { HandOverAll(&touched, at.origin, sink); });
    if (cost.same_key) lost = kSameKeyReason;
  });
  return lost;
}

void EvaluateTemplate(Template* common, const EvaluatorBatch& batch, ChangedRows* rows,
                      const Sink& sink) {
  DeltaTables* tables = DeltaTablesOf(common);
  const char* reason = WhyLost(*common, *tables, batch);
  if (reason == nullptr) reason = EvaluateInGuard(common, tables, batch, rows, sink);
  if (reason == nullptr) return;
  ForgetKeptOf(common);
  ResetRoutes(common, SeqOf(batch), reason, sink);
}

}  // namespace

void LockConcerned(const EvaluatorBatch& batch) {
  const TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kLockBudgetMs);
  ListCell* cell;
  foreach (cell, ConcernedTemplates(batch)) {
    const auto* common = static_cast<Template*>(lfirst(cell));
    DeltaTables* tables = DeltaTablesOf(common);
    if (tables->locked_in == batch.number) continue;
    if (!LockTables(common->spec, until)) tables->locked_in = batch.number;
  }
}

void EvaluateConcerned(const EvaluatorBatch& batch, const Sink& sink) {
  List* concerned = ConcernedTemplates(batch);
  ChangedRows* rows = list_length(concerned) < kManyTemplates ? nullptr : NoChangedRows();
  ListCell* cell;
  foreach (cell, concerned)
    EvaluateTemplate(static_cast<Template*>(lfirst(cell)), batch, rows, sink);
}

void AbandonBatch() {
  ForgetKeptGroups();
  ForgetAlarms();
  ForgetChanges(&touched);
  change_count = 0;
}

uint64 TakeChangeCount() {
  const uint64 taken = change_count;
  change_count = 0;
  return taken;
}

}  // namespace live_queries
