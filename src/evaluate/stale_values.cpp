// Set by set, in the order in which they depend on each other. Process: evaluator.
#include "evaluate/stale_values.hpp"

#include <algorithm>
#include <cfloat>

#include "analyze/clock.hpp"
#include "pg/fault.hpp"
#include "pg/hash_table.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

// With more than that, the whole result is faster; it also bounds the memory.
constexpr int kTooManyValues = 1'000'000;

// What it costs to encode a row of the result and to compare it, in units of the planner.
constexpr double kRowCost = 0.2;
// To plan the whole as well is worth it from there on, in the same units: some milliseconds.
constexpr double kWorthComparing = 500;
// The whole result waits in memory to be compared, as text; so it is out of the question beyond,
// even if the planner thinks it much smaller than it is.
constexpr double kMostBytesOfWhole = 8.0 * 1024 * 1024;

// Of both sides.
void SetParam(const ParamsPair& params, int number, Oid type, Datum value) {
  for (ParamListInfo side : {params.before, params.after})
    side->params[number - 1] = {value, false, PARAM_FLAG_CONST, type};
}

ParamListInfo MakeParams(const DeltaPlan& plan, TimestampTz clock) {
  ParamListInfo params = makeParamList(plan.params);
  memset(params->params, 0, sizeof(ParamExternData) * static_cast<size_t>(plan.params));
  // Not as a constant: a plan is for both sides, so it may be guided by a time and not hold it.
  if (plan.asks_clock)
    params->params[kClockParam - 1] = {TimestampTzGetDatum(clock), false, 0, TIMESTAMPTZOID};
  return params;
}

void SetColumnParams(StaleValues* values, const SetColumn& column, const ValueSet& set) {
  SetParam(values->params, column.param, column.array_type, ToArray(set));
  values->param_sizes[column.param] = set.count;
  if (column.null_param != 0)
    SetParam(values->params, column.null_param, BOOLOID, BoolGetDatum(set.has_null));
  if (set.count > kTooManyValues) values->whole = true;
}

// The values of a probe, beside the columns of its set. One row is enough where there are none.
class Found {
 public:
  explicit Found(const StaleSet& set) : column_count_(list_length(set.columns)) {
    columns_ = static_cast<ValueSet*>(palloc(sizeof(ValueSet) * (column_count_ + 1)));
    ListCell* cell;
    foreach (cell, set.columns)
      columns_[foreach_current_index(cell)] =
          MakeValueSet(CurrentMemoryContext, static_cast<SetColumn*>(lfirst(cell))->type);
  }

  void Add(TupleTableSlot* row) {
    any_ = true;
    slot_getsomeattrs(row, column_count_);
    for (int i = 0; i < column_count_; ++i)
      AddValue(&columns_[i], row->tts_values[i], row->tts_isnull[i]);
  }

  bool IsEnough() const { return any_ && column_count_ == 0; }
  bool any() const { return any_; }
  const ValueSet& column(int index) const { return columns_[index]; }

 private:
  ValueSet* columns_;
  int column_count_;
  bool any_ = false;
};

// Of a query that `set` restricts.
template <class Visit>
void ForEachSide(const SnapshotPair& snapshots, StaleValues* values, int set, Visit&& visit) {
  const ParamsPair& params = values->params;
  if (!IsEmptyBefore(values, set))
    visit(snapshots.before,
          LIVE_QUERIES_MUTATION("one_time_in_probes") ? params.after : params.before);
  visit(snapshots.after, params.after);
}

// `boundaries`: those of the only list of the set, or nullptr.
void RunProbe(const StaleSets& sets, const RestrictedPlan& probe, const SnapshotPair& snapshots,
              const BatchSource& source, StaleValues* values, ListBoundaries* boundaries,
              Found* found) {
  const PlannedStmt* plan = PlanFor(probe.plan, *values);
  values->whole = WholeIsCheaper(sets, probe, *plan, false, source, values);
  if (values->whole) return;
  ForEachSide(snapshots, values, probe.set, [&](Snapshot snapshot, ParamListInfo params) {
    if (found->IsEnough()) return;
    Execute(plan, params, snapshot, 0, [&](TupleTableSlot* row) {
      const bool beyond = boundaries != nullptr && IsBeyond(boundaries, nullptr, row);
      values->beyond += beyond;
      if (!beyond) found->Add(row);
      return !found->IsEnough();
    });
  });
}

// nullptr: its values are of no lists, or where these end is not kept.
ListBoundaries* BoundariesOf(const StaleSets& sets, const StaleSet& set) {
  const bool of_lists = sets.boundaries != nullptr && sets.plan->boundary->set == set.number;
  return of_lists ? sets.boundaries : nullptr;
}

void Probe(const StaleSets& sets, const StaleSet& set, const SnapshotPair& snapshots,
           const BatchSource& source, StaleValues* values) {
  ListBoundaries* boundaries = BoundariesOf(sets, set);
  Found found(set);
  ListCell* cell;
  foreach (cell, sets.probes[set.number]) {
    const auto& probe = *static_cast<RestrictedPlan*>(lfirst(cell));
    if (values->any[probe.set])
      RunProbe(sets, probe, snapshots, source, values, boundaries, &found);
    if (values->whole) return;
  }
  values->any[set.number] = found.any();
  if (set.found_param != 0)
    SetParam(values->params, set.found_param, BOOLOID, BoolGetDatum(found.any()));
  foreach (cell, set.columns)
    SetColumnParams(values, *static_cast<SetColumn*>(lfirst(cell)),
                    found.column(foreach_current_index(cell)));
}

// ----- routes -----

struct FoundRoute {
  const Datum* values;  // hash key
};

// The values of the routes that are stale, each once, beside the columns of a set.
class FoundRoutes {
 public:
  explicit FoundRoutes(const StaleSet& set) : set_(set) {
    found_ =
        MakeHashTable("live_queries stale routes", &FoundRoute::values, 64, CurrentMemoryContext);
    column_count_ = list_length(set.columns);
    values_ = static_cast<Datum**>(palloc0(sizeof(Datum*) * (column_count_ + 1)));
  }

  void Add(const Datum* values) {
    bool known;
    (void)hash_search(found_, &values, HASH_ENTER, &known);
    if (known) return;
    if (count_ == capacity_) Grow();
    for (int i = 0; i < column_count_; ++i) values_[i][count_] = values[i];
    ++count_;
  }

  void SetParams(StaleValues* values) const {
    values->any[set_.number] = count_ > 0;
    ListCell* cell;
    foreach (cell, set_.columns) {
      const auto& column = *static_cast<SetColumn*>(lfirst(cell));
      int16 length;
      bool by_value;
      char alignment;
      get_typlenbyvalalign(column.type, &length, &by_value, &alignment);
      ArrayType* array = construct_array(values_[foreach_current_index(cell)], count_, column.type,
                                         length, by_value, alignment);
      SetParam(values->params, column.param, column.array_type, PointerGetDatum(array));
      values->param_sizes[column.param] = count_;
    }
  }

 private:
  void Grow() {
    capacity_ = capacity_ == 0 ? 8 : capacity_ * 2;
    for (int i = 0; i < column_count_; ++i) {
      const size_t bytes = sizeof(Datum) * capacity_;
      values_[i] = static_cast<Datum*>(count_ == 0 ? palloc(bytes) : repalloc(values_[i], bytes));
    }
  }

  const StaleSet& set_;
  HTAB* found_;
  Datum** values_;  // by column
  int column_count_;
  int count_ = 0;
  int capacity_ = 0;
};

void ProbeRoutes(const StaleSets& sets, const StaleSet& set, const SnapshotPair& snapshots,
                 const BatchSource& source, StaleValues* values) {
  ListBoundaries* boundaries = BoundariesOf(sets, set);
  FoundRoutes found(set);
  const int columns = list_length(set.columns);
  ListCell* cell;
  foreach (cell, sets.probes[set.number]) {
    const auto& probe = *static_cast<RestrictedPlan*>(lfirst(cell));
    if (!values->any[probe.set]) continue;
    const PlannedStmt* plan = PlanFor(probe.plan, *values);
    values->whole = WholeIsCheaper(sets, probe, *plan, false, source, values);
    if (values->whole) return;
    ForEachSide(snapshots, values, probe.set, [&](Snapshot snapshot, ParamListInfo params) {
      Execute(plan, params, snapshot, 0, [&](TupleTableSlot* row) {
        slot_getsomeattrs(row, columns);
        const Datum* watched =
            source.find_watched(row->tts_values, row->tts_isnull, source.context);
        const bool beyond = boundaries != nullptr && IsBeyond(boundaries, watched, row);
        values->beyond += beyond;
        if (watched != nullptr && !beyond) found.Add(watched);
      });
    });
  }
  found.SetParams(values);
}

void AddRoute(const Datum* values, void* found) { static_cast<FoundRoutes*>(found)->Add(values); }

StaleValues NoStaleValues(const DeltaPlan& plan, const ClockPair& clock) {
  StaleValues values = {};
  values.params.after = MakeParams(plan, clock.after);
  values.params.before =
      clock.before == clock.after ? values.params.after : MakeParams(plan, clock.before);
  values.any = static_cast<bool*>(palloc0(sizeof(bool) * (list_length(plan.sets) + 1)));
  values.all_new = static_cast<bool*>(palloc0(sizeof(bool) * (list_length(plan.sets) + 1)));
  values.param_sizes = static_cast<int*>(palloc0(sizeof(int) * (plan.params + 1)));
  return values;
}

// ----- the whole result -----

double RowsOf(const PlannedStmt& plan) { return plan.planTree->plan_rows; }

// At both snapshots; of a query that does not ask the clock.
double CostOfWhole(const StaleSets& sets, const BatchSource& source) {
  const PlannedStmt& plan = *PlanFor(sets.whole, ValuesOfWhole(sets, {}, source));
  const double text_bytes = 100 + 3.0 * plan.planTree->plan_width;
  if (RowsOf(plan) * text_bytes > kMostBytesOfWhole) return DBL_MAX;
  return 2 * (CostOf(plan) + RowsOf(plan) * kRowCost);
}

// ----- tables -----

void AddAll(const ValueSet& from, ValueSet* to) {
  for (int i = 0; i < from.count; ++i) AddValue(to, from.values[i], false);
}

// The values of both; others may use what is dirty as well, so that is not added to.
ValueSet Together(const ValueSet& dirty, const ValueSet& by_clock) {
  ValueSet both = MakeValueSet(CurrentMemoryContext, dirty.type);
  AddAll(dirty, &both);
  AddAll(by_clock, &both);
  return both;
}

// A row that was inserted, and not deleted before in the same batch, was not there before: the key
// would not have let it in. Of several columns, the values are found one by one, which may be those
// of rows that were there, unless all but one have one value.
bool AreNew(const StaleSet& set, const DirtyRows& dirty) {
  int of_many = 0;
  for (int i = 0; i < list_length(set.columns); ++i) of_many += dirty.columns[i].count > 1;
  return set.unique && dirty.all_new && (of_many <= 1 || LIVE_QUERIES_MUTATION("pairs_are_new"));
}

bool HasAny(const DirtyRows& dirty) { return dirty.all || dirty.columns->count > 0; }

// Those of the rows that matter where the query reads the table, at either snapshot.
DirtyRows LookThrough(const StaleSets& sets, const StaleSet& set, const DirtyRows& dirty,
                      const SnapshotPair& snapshots, const BatchSource& source,
                      StaleValues* values) {
  const RowFilter* filter = sets.filters[set.number];
  if (filter == nullptr || source.rows == nullptr || dirty.all) return dirty;
  // Of several columns, each value is found beside each.
  int count = 1;
  for (int i = 0; i < list_length(set.columns); ++i) {
    if (dirty.columns[i].count > kMostLookedThrough / count) return dirty;
    count *= dirty.columns[i].count;
    if (count == 0) return dirty;
  }
  const bool only_after =
      values->all_new[set.number] || LIVE_QUERIES_MUTATION("look_at_new_rows_alone");
  ValueSet* columns =
      FindRelevant(*filter, dirty.columns, count, only_after ? nullptr : snapshots.before,
                   snapshots.after, {source.find_watched, source.context}, source.rows);
  // Those of several columns are counted by one of them.
  values->irrelevant += std::max(dirty.columns->count - columns->count, 0);
  return {false, dirty.all_new, columns};
}

// `by_clock`: nullptr, or the rows for which the time makes a difference.
void TakeRows(const StaleSet& set, const DirtyRows& dirty, const ValueSet* by_clock,
              StaleValues* values) {
  if (dirty.all) {
    values->whole = true;
    return;
  }
  ListCell* cell;
  foreach (cell, set.columns) {
    const int index = foreach_current_index(cell);
    const ValueSet column = by_clock == nullptr ? dirty.columns[index]
                                                : Together(dirty.columns[index], by_clock[index]);
    values->any[set.number] = values->any[set.number] || column.count > 0;
    SetColumnParams(values, *static_cast<SetColumn*>(lfirst(cell)), column);
  }
}

}  // namespace

List* PrepareRestricted(MemoryContext context, List* restricted) {
  return InMemoryContext(context, [&] {
    List* plans = NIL;
    ListCell* cell;
    foreach (cell, restricted) {
      const auto& one = *static_cast<Restricted*>(lfirst(cell));
      RestrictedPlan* plan = AllocateIn<RestrictedPlan>(context);
      *plan = {one.set, KeepPlan(context, one.query)};
      plans = lappend(plans, plan);
    }
    return plans;
  });
}

StaleSets PrepareStaleSets(MemoryContext context, const DeltaPlan& plan, const StaleSet* watched,
                           KeptPlan* whole, List* routing) {
  const size_t bytes = sizeof(List*) * (list_length(plan.sets) + 1);
  StaleSets sets = {&plan,
                    static_cast<List**>(MemoryContextAllocZero(context, bytes)),
                    static_cast<RowFilter**>(MemoryContextAllocZero(context, bytes)),
                    watched,
                    whole,
                    PrepareClockPlans(context, plan.windows),
                    nullptr};
  ListCell* cell;
  foreach (cell, plan.sets) {
    const auto& set = *static_cast<StaleSet*>(lfirst(cell));
    sets.probes[set.number] = PrepareRestricted(context, set.probe);
    sets.filters[set.number] = PrepareFilter(context, set, RoutesInTable(plan, routing, set));
  }
  return sets;
}

ParamListInfo ParamsAt(const StaleSets& sets, TimestampTz clock) {
  return MakeParams(*sets.plan, clock);
}

void TakeWatched(const StaleSet& set, const BatchSource& source, StaleValues* values) {
  FoundRoutes found(set);
  source.for_each_watched(AddRoute, &found, source.context);
  found.SetParams(values);
}

StaleValues ValuesOfWhole(const StaleSets& sets, const ClockPair& clock,
                          const BatchSource& source) {
  const DeltaPlan& plan = *sets.plan;
  StaleValues values = NoStaleValues(plan, clock);
  ListCell* cell;
  foreach (cell, plan.sets) {
    const auto& set = *static_cast<StaleSet*>(lfirst(cell));
    if (set.of_routes) TakeWatched(set, source, &values);
  }
  if (sets.watched != nullptr) TakeWatched(*sets.watched, source, &values);
  return values;
}

void TakeProbed(const StaleSets& sets, const StaleSet& set, const SnapshotPair& snapshots,
                const BatchSource& source, StaleValues* values) {
  if (set.of_routes)
    ProbeRoutes(sets, set, snapshots, source, values);
  else
    Probe(sets, set, snapshots, source, values);
}

bool WholeIsCheaper(const StaleSets& sets, const RestrictedPlan& restricted,
                    const PlannedStmt& plan, bool of_result, const BatchSource& source,
                    StaleValues* values) {
  // With the clock, every plan knows the time.
  if (&plan == restricted.plan->generic || sets.plan->asks_clock || source.only_parts) return false;
  // The whole would be planned for all values that are watched, again and again.
  if (!bms_is_empty(sets.whole->params) && source.watchers >= kPlannedAnew) return false;
  const int sides = values->all_new[restricted.set] ? 1 : 2;
  values->cost += sides * (CostOf(plan) + (of_result ? RowsOf(plan) * kRowCost : 0));
  if (values->cost < kWorthComparing) return false;
  if (values->whole_cost == 0) values->whole_cost = CostOfWhole(sets, source);
  return values->cost > values->whole_cost;
}

StaleValues FindStaleValues(const StaleSets& sets, const SnapshotPair& snapshots,
                            const ClockPair& clock, const BatchSource& source, int left_out) {
  const DeltaPlan& plan = *sets.plan;
  StaleValues values = NoStaleValues(plan, clock);
  ClockRows by_clock = {};
  const bool clock_moves = plan.asks_clock && clock.before != clock.after && !clock.quiet;
  if (clock_moves)
    by_clock =
        FindClockRows(sets.clock, values.params.before, values.params.after, snapshots.after);
  values.whole = by_clock.all;
  ListCell* cell;
  foreach (cell, values.whole ? NIL : plan.sets) {
    const auto& set = *static_cast<StaleSet*>(lfirst(cell));
    if (set.number == left_out) continue;
    if (OidIsValid(set.table)) {
      const DirtyRows dirty = source.find_dirty(set, source.context);
      values.timed = values.timed || (HasAny(dirty) && IsWindowed(sets.clock, set.table));
      values.all_new[set.number] = !clock_moves && !dirty.all && AreNew(set, dirty);
      TakeRows(set, LookThrough(sets, set, dirty, snapshots, source, &values),
               RowsOfTable(by_clock, set.table), &values);
    } else {
      TakeProbed(sets, set, snapshots, source, &values);
    }
    if (values.whole) break;
  }
  return values;
}

bool IsEmptyBefore(StaleValues* values, int set) {
  values->spared += values->all_new[set];
  return values->all_new[set];
}

void TakeValues(const StaleSet& set, const ValueSet* columns, StaleValues* values) {
  values->any[set.number] = true;
  if (set.found_param != 0) SetParam(values->params, set.found_param, BOOLOID, BoolGetDatum(true));
  ListCell* cell;
  foreach (cell, set.columns)
    SetColumnParams(values, *static_cast<SetColumn*>(lfirst(cell)),
                    columns[foreach_current_index(cell)]);
}

const PlannedStmt* PlanFor(KeptPlan* kept, const StaleValues& values, bool at_a_time) {
  bool anew = at_a_time;
  for (int param = -1; (param = bms_next_member(kept->params, param)) >= 0;)
    anew = anew || values.param_sizes[param] >= kPlannedAnew;
  return PlanQuery(kept, values.params.after, !anew);
}

}  // namespace live_queries
