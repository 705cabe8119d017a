// Stale sets, then the queries that they restrict, then the difference. Process: evaluator.
#include "evaluate/delta_evaluation.hpp"

#include "delta/watched_rows.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

uint64 alarms_made = 1;  // another number makes all that were made before worth nothing

// Past so many, their values are no longer asked for: a plan for them all would cost more.
constexpr int kFewWatchers = 64;
// Unless rows of so many others are expected for each of them: those of all members of a large
// team.
constexpr double kManyRows = 10;

// Of the rows of one query at one snapshot, into the difference.
struct RowsOfSide {
  const ResultEncoder* encoder;
  const BatchSource* source;
  ListBoundaries* boundaries;  // nullptr: of no list
  Difference* difference;
  MemoryContext row_context;
  int side;
  uint64 max_bytes;
  uint64 rows;
};

// Adds it unless nobody gets it. Values that are equal and have other bytes are of one route.
void AddRow(const RowsOfSide& rows, TupleTableSlot* slot) {
  EncodedRow encoded = Encode(*rows.encoder, slot);
  const Datum* watched = nullptr;
  if (rows.encoder->route_count > 0) {
    const BatchSource& source = *rows.source;
    watched = source.find_watched(encoded.routes, encoded.route_nulls, source.context);
    if (watched == nullptr) return;
  }
  encoded.routing = {reinterpret_cast<const char*>(&watched), sizeof(watched)};
  rows.difference->Add(encoded, rows.side);
  if (rows.boundaries != nullptr && rows.side > 0) NoteRow(rows.boundaries, watched, slot);
}

void TakeRow(RowsOfSide* rows, TupleTableSlot* slot) {
  MemoryContextReset(rows->row_context);
  InMemoryContext(rows->row_context, [&] { AddRow(*rows, slot); });
  ++rows->rows;
  if (rows->max_bytes != 0 && rows->difference->bytes() > rows->max_bytes)
    ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
            errmsg("too much of the result of a live query has changed at once"));
}

// One plan for both sides: whatever SQL leaves to the order of execution is the same then, as far
// as it can be.
void AddSide(RowsOfSide* rows, int side, const PlannedStmt* plan, ParamListInfo params,
             Snapshot snapshot) {
  rows->side = side;
  Execute(plan, params, snapshot, 0, [&](TupleTableSlot* slot) { TakeRow(rows, slot); });
}

// Whether the set makes either nothing stale, or everything.
bool IsAll(const DeltaEvaluation& evaluation, int set) {
  return static_cast<StaleSet*>(list_nth(evaluation.plan->sets, set))->columns == NIL;
}

// A query that a stale set restricts, as it is run for a batch.
struct PlannedPart {
  int set;
  const PlannedStmt* plan;
};

// Those whose sets have values, as PlannedPart; with `*cheaper` if the whole result is that.
List* PlanStale(const DeltaEvaluation& evaluation, const BatchSource& source, StaleValues* values,
                bool* cheaper) {
  const StaleSets& sets = evaluation.sets;
  const bool can = sets.watched != nullptr;
  const bool few = can && source.watchers <= kFewWatchers;
  bool taken = false;
  List* parts = NIL;
  ListCell* cell;
  foreach (cell, evaluation.restricted) {
    const auto* restricted = static_cast<RestrictedPlan*>(lfirst(cell));
    if (!values->any[restricted->set]) continue;
    // Where all of the result is stale, it is as with the whole query (AddWhole).
    const bool anew = IsAll(evaluation, restricted->set) && evaluation.plan->asks_clock;
    const PlannedStmt* plan = few ? nullptr : PlanFor(restricted->plan, *values, anew);
    if (can && (few || plan->planTree->plan_rows > kManyRows * source.watchers)) {
      if (!taken) TakeWatched(*sets.watched, source, values);
      taken = true;
      restricted = static_cast<RestrictedPlan*>(
          list_nth(evaluation.of_watched, foreach_current_index(cell)));
      plan = PlanFor(restricted->plan, *values, anew);
    }
    *cheaper = WholeIsCheaper(sets, *restricted, *plan, true, source, values);
    if (*cheaper) return NIL;
    auto* part = static_cast<PlannedPart*>(palloc(sizeof(PlannedPart)));
    *part = {restricted->set, plan};
    parts = lappend(parts, part);
  }
  return parts;
}

// Returns false where the whole result costs less.
bool AddStale(const DeltaEvaluation& evaluation, const SnapshotPair& snapshots,
              const BatchSource& source, StaleValues* values, RowsOfSide* rows) {
  bool cheaper = false;
  ListCell* cell;
  foreach (cell, PlanStale(evaluation, source, values, &cheaper)) {
    const auto& part = *static_cast<PlannedPart*>(lfirst(cell));
    if (!IsEmptyBefore(values, part.set))
      AddSide(rows, -1, part.plan, values->params.before, snapshots.before);
    AddSide(rows, 1, part.plan, values->params.after, snapshots.after);
  }
  return !cheaper;
}

// The groups that have changed, by the rows that have come and gone. Returns false where they are
// to be evaluated: what is stale is known then.
bool AddMoved(const DeltaEvaluation& evaluation, const SnapshotPair& snapshots,
              const BatchSource& source, StaleValues* values, RowsOfSide* rows, DeltaCost* cost) {
  if (evaluation.moving == nullptr) return false;
  auto take = [](TupleTableSlot* slot, int side, void* context) {
    auto* of_side = static_cast<RowsOfSide*>(context);
    of_side->side = side;
    TakeRow(of_side, slot);
  };
  const Moved moved =
      MoveGroups(evaluation.moving, evaluation.sets, snapshots, source, values, take, rows);
  cost->moved = moved.groups;
  rows->rows += moved.rows;
  if (moved.all) return true;
  const auto* set =
      static_cast<StaleSet*>(list_nth(evaluation.plan->sets, SetOfMoving(*evaluation.moving)));
  TakeProbed(evaluation.sets, *set, snapshots, source, values);
  return false;
}

void AddWhole(const DeltaEvaluation& evaluation, const SnapshotPair& snapshots,
              const ClockPair& clock, const BatchSource& source, RowsOfSide* rows) {
  ForgetKept(evaluation);
  if (evaluation.sets.boundaries != nullptr) BeginLists(evaluation.sets.boundaries);
  const TimestampTz time_before = LIVE_QUERIES_MUTATION("one_time") ? clock.after : clock.before;
  const StaleValues values = ValuesOfWhole(evaluation.sets, {time_before, clock.after}, source);
  // Not knowing the time, the planner would take a third of a table for `at > now() - ...`.
  const PlannedStmt* plan = PlanFor(evaluation.sets.whole, values, evaluation.plan->asks_clock);
  AddSide(rows, -1, plan, values.params.before, snapshots.before);
  AddSide(rows, 1, plan, values.params.after, snapshots.after);
}

int64 MicrosecondsSince(TimestampTz* last) {
  const TimestampTz now = GetCurrentTimestamp();
  const int64 elapsed = now - *last;
  *last = now;
  return elapsed;
}

bool IsNothingStale(const DeltaEvaluation& evaluation, const StaleValues& values) {
  for (int i = 0; i < list_length(evaluation.plan->sets); ++i)
    if (values.any[i]) return false;
  return true;
}

RowsOfSide RowsInto(const DeltaEvaluation& evaluation, const BatchSource& source,
                    uint64 max_bytes) {
  const ResultEncoder& encoder = evaluation.encoder;
  RowsOfSide rows = {};
  rows.encoder = &encoder;
  rows.source = &source;
  rows.boundaries = evaluation.sets.boundaries;
  rows.difference =
      Difference::Create(evaluation.plan->bag, evaluation.plan->list, encoder.route_lengths,
                         encoder.route_by_value, encoder.route_count);
  rows.row_context = AllocSetContextCreate(CurrentMemoryContext, "live_queries row of a result",
                                           ALLOCSET_DEFAULT_SIZES);
  rows.max_bytes = max_bytes;
  return rows;
}

// Of the rows as they are now, if the time or a change of theirs may have brought another one.
void SetAlarm(const DeltaEvaluation& evaluation, Snapshot snapshot, const ClockPair& clock,
              const StaleValues& values, bool whole) {
  if (evaluation.alarm == nullptr) return;
  const bool known = clock.quiet && !whole;
  if (known && (!values.timed || LIVE_QUERIES_MUTATION("forget_the_alarm"))) return;
  ParamListInfo params = ParamsAt(evaluation.sets, clock.after);
  *evaluation.alarm = {FindAlarm(evaluation.sets.clock, params, snapshot), alarms_made};
}

DeltaCost EvaluateInContext(const DeltaEvaluation& evaluation, const SnapshotPair& snapshots,
                            ClockPair clock, uint64 max_bytes, const BatchSource& source,
                            void (*report)(const ResultChange&, void*), void* context) {
  DeltaCost cost = {};
  clock.quiet = !ClockMatters(evaluation, clock);
  cost.quiet = clock.quiet && clock.before != clock.after;
  TimestampTz last = GetCurrentTimestamp();
  ListBoundaries* boundaries = evaluation.sets.boundaries;
  // Plans are made as of the newer state of the tables.
  PushActiveSnapshot(snapshots.after);
  // Where the time has moved, any row may differ, unless it is known for which it does.
  cost.whole = evaluation.plan->why_whole != nullptr ||
               (evaluation.plan->windows.why_none != nullptr && clock.before != clock.after);
  StaleValues values = {};
  if (boundaries != nullptr) BeginLists(boundaries);
  if (!cost.whole) {
    const int moved = evaluation.moving == nullptr ? -1 : SetOfMoving(*evaluation.moving);
    values = FindStaleValues(evaluation.sets, snapshots, clock, source, moved);
    cost.whole = values.whole;
    cost.irrelevant = values.irrelevant;
  }
  cost.probe_us = MicrosecondsSince(&last);
  cost.nothing = !cost.whole && cost.irrelevant > 0 && IsNothingStale(evaluation, values);
  if (cost.nothing) {
    SetAlarm(evaluation, snapshots.after, clock, values, false);
    PopActiveSnapshot();
    if (boundaries != nullptr) EndLists(boundaries);
    return cost;
  }
  RowsOfSide rows = RowsInto(evaluation, source, max_bytes);
  const bool moved = !cost.whole && AddMoved(evaluation, snapshots, source, &values, &rows, &cost);
  cost.whole = cost.whole || values.whole ||
               (!moved && !AddStale(evaluation, snapshots, source, &values, &rows));
  if (cost.whole) AddWhole(evaluation, snapshots, clock, source, &rows);
  SetAlarm(evaluation, snapshots.after, clock, values, cost.whole);
  PopActiveSnapshot();
  if (boundaries != nullptr) EndLists(boundaries);
  cost.query_us = MicrosecondsSince(&last);
  cost.rows = rows.rows;
  cost.spared = values.spared;
  cost.beyond = values.beyond;
  cost.same_key = rows.difference->HasSameKey();
  if (!cost.same_key) rows.difference->Report(report, context);
  cost.difference_us = MicrosecondsSince(&last);
  return cost;
}

}  // namespace

DeltaEvaluation* PrepareDeltaEvaluation(MemoryContext context, const QuerySpec& spec,
                                        DeltaPlan* plan, List* routing) {
  return InMemoryContext(context, [&] {
    DeltaEvaluation* evaluation = AllocateIn<DeltaEvaluation>(context);
    const WatchedRows watched = RestrictToWatched(routing, plan);
    evaluation->plan = plan;
    evaluation->sets =
        PrepareStaleSets(context, *plan, watched.values, KeepPlan(context, watched.whole), routing);
    evaluation->restricted = PrepareRestricted(context, plan->restricted);
    evaluation->of_watched = PrepareRestricted(context, watched.restricted);
    evaluation->encoder = MakeResultEncoder(spec, *plan, routing);
    if (plan->moving != nullptr)
      evaluation->moving = PrepareMoving(context, *plan->moving, evaluation->encoder);
    if (plan->boundary != nullptr)
      evaluation->sets.boundaries =
          PrepareBoundaries(context, *plan->boundary, evaluation->encoder);
    if (spec.alarm && plan->windows.why_none == nullptr)
      evaluation->alarm = AllocateIn<KeptAlarm>(context);
    return evaluation;
  });
}

DeltaCost EvaluateDelta(const DeltaEvaluation& evaluation, const SnapshotPair& snapshots,
                        const ClockPair& clock, uint64 max_bytes, const BatchSource& source,
                        void (*report)(const ResultChange&, void*), void* context) {
  MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "live_queries delta batch",
                                              ALLOCSET_DEFAULT_SIZES);
  const DeltaCost cost = InMemoryContext(batch, [&] {
    return EvaluateInContext(evaluation, snapshots, clock, max_bytes, source, report, context);
  });
  MemoryContextDelete(batch);
  return cost;
}

bool ClockMatters(const DeltaEvaluation& evaluation, const ClockPair& clock) {
  if (clock.before == clock.after) return false;
  const KeptAlarm* kept = evaluation.alarm;
  return kept == nullptr || kept->made != alarms_made || !kept->alarm.Covers(clock.before) ||
         !kept->alarm.Covers(clock.after);
}

std::optional<TimestampTz> QuietUntil(const DeltaEvaluation& evaluation, TimestampTz time) {
  const KeptAlarm* kept = evaluation.alarm;
  if (kept == nullptr || kept->made != alarms_made || !kept->alarm.Covers(time)) return {};
  return kept->alarm.until;
}

void ForgetAlarms() { ++alarms_made; }

void ForgetKept(const DeltaEvaluation& evaluation) {
  if (evaluation.alarm != nullptr) *evaluation.alarm = {};
  if (evaluation.moving != nullptr) ForgetMoving(evaluation.moving);
  if (evaluation.sets.boundaries != nullptr) ForgetLists(evaluation.sets.boundaries);
}

void ReadResult(const DeltaEvaluation& evaluation, Snapshot snapshot, TimestampTz clock,
                const BatchSource& source, void (*receive)(const EncodedRow&, void*),
                void* context) {
  PushActiveSnapshot(snapshot);
  const StaleValues values = ValuesOfWhole(evaluation.sets, {clock, clock}, source);
  const PlannedStmt* plan = PlanFor(evaluation.sets.whole, values);
  PopActiveSnapshot();
  Execute(plan, values.params.after, snapshot, 0,
          [&](TupleTableSlot* row) { receive(Encode(evaluation.encoder, row), context); });
}

}  // namespace live_queries
