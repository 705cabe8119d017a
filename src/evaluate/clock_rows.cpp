// First the bounds at both times, then the rows from the one to the other: of the newer snapshot,
// since a row that only the older one has was changed. And for the alarm, the next one beyond each
// bound. Process: evaluator.
#include "evaluate/clock_rows.hpp"

#include <algorithm>

#include "analyze/clock.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/subtransaction.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/date.h"
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

// With more than that, the whole result is faster; it also bounds the memory.
constexpr uint64 kTooManyRows = 1'000'000;

struct TableRows {
  Oid table;
  ValueSet* columns;
};

struct Bounds {
  Datum* values;
  bool* nulls;
};

Bounds BoundsAt(const PlannedStmt* plan, int count, ParamListInfo params, Snapshot snapshot) {
  Bounds bounds = {static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<size_t>(count))),
                   static_cast<bool*>(palloc(sizeof(bool) * static_cast<size_t>(count)))};
  Execute(plan, params, snapshot, 0, [&](TupleTableSlot* row) {
    slot_getsomeattrs(row, count);
    for (int i = 0; i < count; ++i) {
      const Oid type = TupleDescAttr(row->tts_tupleDescriptor, i)->atttypid;
      bounds.nulls[i] = row->tts_isnull[i];
      if (bounds.nulls[i]) continue;
      // As a number that does not point into the row.
      bounds.values[i] = type == DATEOID ? DateADTGetDatum(DatumGetDateADT(row->tts_values[i]))
                                         : TimestampGetDatum(DatumGetTimestamp(row->tts_values[i]));
    }
  });
  return bounds;
}

struct BoundsPair {
  Bounds before;
  Bounds after;
};

// Whether it is about the values, and not about what may be run, or for how long.
bool IsOfValues(const ErrorData& error) {
  const int category = ERRCODE_TO_CATEGORY(error.sqlerrcode);
  return category != ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) &&
         category != ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES);
}

// Returns false if a bound cannot be computed. The query may never do that: it has no row, or does
// not look so far. Where it does, it raises the error itself.
bool FindBounds(const ClockPlans& plans, int count, ParamListInfo before, ParamListInfo after,
                Snapshot snapshot, BoundsPair* bounds) {
  ErrorData* raised = nullptr;
  InRolledBackSubtransaction(
      [&] {
        const PlannedStmt* plan = PlanQuery(plans.bounds, after, true);
        bounds->before = BoundsAt(plan, count, before, snapshot);
        bounds->after = BoundsAt(plan, count, after, snapshot);
      },
      [&](ErrorData* error) { raised = error; });
  if (raised != nullptr && !IsOfValues(*raised)) ReThrowError(raised);
  return raised == nullptr;
}

// As the types' own order has it.
int64 PlaceOf(Oid type, Datum value) {
  return type == DATEOID ? DatumGetDateADT(value) : DatumGetTimestamp(value);
}

ValueSet* ColumnsOf(const ClockWindow& window, ClockRows* rows) {
  if (const ValueSet* known = RowsOfTable(*rows, window.table)) return const_cast<ValueSet*>(known);
  TableRows* table = static_cast<TableRows*>(palloc(sizeof(TableRows)));
  const int count = list_length(window.set->columns);
  *table = {window.table,
            static_cast<ValueSet*>(palloc(sizeof(ValueSet) * static_cast<size_t>(count)))};
  ListCell* cell;
  foreach (cell, window.set->columns)
    table->columns[foreach_current_index(cell)] =
        MakeValueSet(CurrentMemoryContext, static_cast<SetColumn*>(lfirst(cell))->type);
  rows->tables = lappend(rows->tables, table);
  return table->columns;
}

void SetBound(ParamListInfo params, int number, Oid type, Datum value) {
  params->params[number - 1] = {value, false, 0, type};
}

void AddRows(const ClockWindow& window, KeptPlan* kept, ParamListInfo params, Snapshot snapshot,
             ClockRows* rows) {
  const int count = list_length(window.set->columns);
  uint64 found = 0;
  ValueSet* columns = nullptr;
  Execute(PlanQuery(kept, params, true), params, snapshot, kTooManyRows, [&](TupleTableSlot* row) {
    if (columns == nullptr) columns = ColumnsOf(window, rows);
    slot_getsomeattrs(row, count);
    for (int i = 0; i < count; ++i) AddValue(&columns[i], row->tts_values[i], row->tts_isnull[i]);
    ++found;
  });
  if (found == kTooManyRows) rows->all = true;
}

// ----- the alarm -----

TimestampTz TimeOf(ParamListInfo params) {
  return DatumGetTimestampTz(params->params[kClockParam - 1].value);
}

ParamListInfo AtTime(ParamListInfo params, TimestampTz time) {
  ParamListInfo other = makeParamList(params->numParams);
  memcpy(other->params, params->params,
         sizeof(ParamExternData) * static_cast<size_t>(params->numParams));
  other->params[kClockParam - 1].value = TimestampTzGetDatum(time);
  return other;
}

// The smallest value that is not below the bound, which is set; false: there is none that is ever
// reached.
bool FindNext(const ClockWindow& window, KeptPlan* kept, ParamListInfo params, Snapshot snapshot,
              int64* place) {
  bool found = false;
  Execute(PlanQuery(kept, params, true), params, snapshot, 1, [&](TupleTableSlot* row) {
    bool is_null;
    const Datum value = slot_getattr(row, 1, &is_null);
    if (is_null) return;
    *place = PlaceOf(window.type, value);
    found = !TIMESTAMP_NOT_FINITE(*place);
  });
  return found;
}

// When a bound that goes as the time does, and is at `at` now, comes to `place`, or leaves it.
TimestampTz MomentOf(TimestampTz now, int64 at, int64 place) {
  int64 away;
  TimestampTz moment;
  if (place == at) return now + 1;
  if (pg_sub_s64_overflow(place, at, &away) || pg_add_s64_overflow(now, away, &moment))
    return PG_INT64_MAX;
  return moment;
}

// The first moment behind `now` at which the comparisons with this bound may say something else.
// `later`: the bound at the end of the quarter of an hour. Returns `now` if that cannot be told.
TimestampTz MomentOfWindow(const ClockWindow& window, KeptPlan* next, TimestampTz now, Datum bound,
                           Datum later, ParamListInfo params, Snapshot snapshot) {
  const int64 at = PlaceOf(window.type, bound);
  const bool stands = window.course == ClockCourse::kStanding;
  const TimestampTz end = NextQuarter(now);
  if (window.course == ClockCourse::kUnknown) return now;
  if (window.type != DATEOID && TIMESTAMP_NOT_FINITE(at)) return now;
  // A time zone may be one of its own kind.
  if (PlaceOf(window.type, later) != (stands ? at : at + (end - 1 - now))) return now;
  if (stands) return end;
  SetBound(params, window.low, window.type, bound);
  int64 place;
  const TimestampTz moment =
      FindNext(window, next, params, snapshot, &place) ? MomentOf(now, at, place) : PG_INT64_MAX;
  return window.course == ClockCourse::kEven ? moment : std::min(moment, end);
}

}  // namespace

ClockPlans PrepareClockPlans(MemoryContext context, const ClockWindows& windows) {
  ClockPlans plans = {&windows, nullptr, NIL, NIL};
  if (windows.why_none != nullptr || windows.all == NIL) return plans;
  return InMemoryContext(context, [&] {
    plans.bounds = KeepPlan(context, windows.bounds);
    ListCell* cell;
    foreach (cell, windows.all) {
      const auto& window = *static_cast<ClockWindow*>(lfirst(cell));
      plans.rows = lappend(plans.rows, KeepPlan(context, window.rows));
      plans.next = lappend(plans.next, KeepPlan(context, window.next));
    }
    return plans;
  });
}

ClockRows FindClockRows(const ClockPlans& plans, ParamListInfo before, ParamListInfo after,
                        Snapshot snapshot) {
  ClockRows rows = {};
  const int count = list_length(plans.rows);
  if (count == 0) return rows;
  BoundsPair bounds;
  if (!FindBounds(plans, count, before, after, snapshot, &bounds)) {
    rows.all = true;
    return rows;
  }
  const Bounds& then = bounds.before;
  const Bounds& now = bounds.after;
  for (int i = 0; i < count && !rows.all; ++i) {
    const auto& window = *static_cast<ClockWindow*>(list_nth(plans.windows->all, i));
    // Compared with NULL, no row says anything; so from one to the other, any row may.
    if (then.nulls[i] != now.nulls[i]) rows.all = true;
    if (then.nulls[i] || now.nulls[i]) continue;
    const int64 place_then = PlaceOf(window.type, then.values[i]);
    const int64 place_now = PlaceOf(window.type, now.values[i]);
    if (place_then == place_now || LIVE_QUERIES_MUTATION("pass_over_times")) continue;
    const bool forwards = place_then < place_now;
    SetBound(after, window.low, window.type, forwards ? then.values[i] : now.values[i]);
    SetBound(after, window.high, window.type, forwards ? now.values[i] : then.values[i]);
    AddRows(window, static_cast<KeptPlan*>(list_nth(plans.rows, i)), after, snapshot, &rows);
  }
  return rows;
}

ClockAlarm FindAlarm(const ClockPlans& plans, ParamListInfo params, Snapshot snapshot) {
  const TimestampTz now = TimeOf(params);
  const int count = list_length(plans.rows);
  ClockAlarm alarm = {now, PG_INT64_MAX};
  BoundsPair bounds;
  ParamListInfo later = AtTime(params, NextQuarter(now) - 1);
  if (count > 0 && !FindBounds(plans, count, params, later, snapshot, &bounds)) return {};
  for (int i = 0; i < count && alarm.until > now; ++i) {
    if (bounds.before.nulls[i] || bounds.after.nulls[i]) return {};
    const auto& window = *static_cast<ClockWindow*>(list_nth(plans.windows->all, i));
    auto* next = static_cast<KeptPlan*>(list_nth(plans.next, i));
    alarm.until = std::min(alarm.until, MomentOfWindow(window, next, now, bounds.before.values[i],
                                                       bounds.after.values[i], params, snapshot));
  }
  return alarm;
}

bool IsWindowed(const ClockPlans& plans, Oid table) {
  ListCell* cell;
  foreach (cell, plans.windows->all)
    if (static_cast<ClockWindow*>(lfirst(cell))->table == table) return true;
  return false;
}

const ValueSet* RowsOfTable(const ClockRows& rows, Oid table) {
  ListCell* cell;
  foreach (cell, rows.tables)
    if (static_cast<TableRows*>(lfirst(cell))->table == table)
      return static_cast<TableRows*>(lfirst(cell))->columns;
  return nullptr;
}

}  // namespace live_queries
