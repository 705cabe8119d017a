// live.explain: what live.subscribe would do. Process: client backend.
#include "analyze/clock.hpp"
#include "analyze/routing_choice.hpp"
#include "analyze/table_facts.hpp"
#include "delta/delta_plan.hpp"
#include "delta/delta_routing.hpp"
#include "delta/list_boundary.hpp"
#include "delta/moving_groups.hpp"
#include "delta/relevant_rows.hpp"
#include "evaluate/kept_plan.hpp"
#include "query/planner.hpp"
#include "sql_api/arguments.hpp"

extern "C" {
#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
}

extern "C" {
LIVE_QUERIES_FUNCTION(live_queries_explain);
}

namespace live_queries {
namespace {

void AddProperty(ResultRows* rows, const char* property, const char* value) {
  const Datum values[2] = {CStringGetTextDatum(property),
                           value == nullptr ? static_cast<Datum>(0) : CStringGetTextDatum(value)};
  const bool nulls[2] = {false, value == nullptr};
  rows->Add(values, nulls);
}

const char* Joined(const char* a, const char* separator, const char* b) {
  return a == nullptr ? b : psprintf("%s%s%s", a, separator, b);
}

const char* ColumnNames(Oid relation, List* numbers) {
  const char* names = nullptr;
  ListCell* cell;
  foreach (cell, numbers)
    names = Joined(
        names, ", ",
        quote_identifier(get_attname(relation, static_cast<AttrNumber>(lfirst_int(cell)), false)));
  return names;
}

const char* Key(const Plan& plan) {
  const QuerySpec& spec = plan.spec;
  if (spec.bag) return "none: the whole row";
  const char* columns = ColumnNames(spec.relation, spec.key);
  if (plan.why_opaque == nullptr) return columns;
  return psprintf("opaque, for %s: not selected, and %s", columns, plan.why_opaque);
}

const char* Conditions(Oid relation, List* quals) {
  if (quals == NIL) return nullptr;
  List* context = deparse_context_for(get_rel_name(relation), relation);
  return deparse_expression(reinterpret_cast<Node*>(make_ands_explicit(quals)), context, false,
                            false);
}

// The conditions of these numbers, from 0.
const char* RoutingConditionsAt(const QuerySpec& spec, List* numbers) {
  const char* text = nullptr;
  ListCell* cell;
  foreach (cell, numbers) {
    void* condition = list_nth(spec.routing_conditions, lfirst_int(cell));
    text = Joined(text, ", ", Conditions(spec.relation, list_make1(condition)));
  }
  return text;
}

// What the index is made of, if not of equalities alone.
const char* RoutingIndexText(const QuerySpec& spec, const RoutingChoice& choice) {
  const char* parts = nullptr;
  ListCell* cell;
  foreach (cell, choice.indexed) {
    auto* condition = static_cast<Node*>(list_nth(spec.routing_conditions, lfirst_int(cell)));
    const char* column =
        ColumnNames(spec.relation, list_make1_int(RoutingColumn(condition)->varattno));
    if (KindOf(condition) == RoutingKind::kList) column = psprintf("elements for %s", column);
    if (KindOf(condition) == RoutingKind::kKeys) column = psprintf("keys of %s", column);
    if (KindOf(condition) == RoutingKind::kPrefix) column = psprintf("prefixes of %s", column);
    if (parts == nullptr || choice.kind == RoutingIndexKind::kHash)
      parts = Joined(parts, ", ", column);
  }
  switch (choice.kind) {
    case RoutingIndexKind::kHash:
    case RoutingIndexKind::kKeys:
      return psprintf("hash (%s)", parts);
    case RoutingIndexKind::kIntervals:
      return psprintf("intervals (%s)", parts);
    case RoutingIndexKind::kNone:
      break;
  }
  return "none: each route is looked at";
}

void ExplainRouting(const QuerySpec& spec, ResultRows* rows) {
  const RoutingChoice choice = ChooseRoutingIndex(spec.routing_conditions);
  AddProperty(rows, "routing", RoutingConditionsAt(spec, choice.indexed));
  bool equalities_alone = choice.checked == NIL;
  ListCell* cell;
  foreach (cell, choice.indexed)
    equalities_alone =
        equalities_alone &&
        KindOf(static_cast<Node*>(list_nth(spec.routing_conditions, lfirst_int(cell)))) ==
            RoutingKind::kEquality;
  if (equalities_alone) return;
  AddProperty(rows, "routing index", RoutingIndexText(spec, choice));
  if (choice.checked != NIL)
    AddProperty(rows, "checked for each route", RoutingConditionsAt(spec, choice.checked));
}

const char* TableNames(List* names) {
  const char* text = nullptr;
  ListCell* cell;
  foreach (cell, names) text = Joined(text, ", ", strVal(lfirst(cell)));
  return text;
}

// What an UPDATE of a row in the result sends.
const char* Updates(const QuerySpec& spec) {
  if (spec.full_identity) return "those that change a selected column, with its former value";
  Bitmapset* shown = nullptr;
  pull_varattnos(reinterpret_cast<Node*>(spec.result_columns), 1, &shown);
  for (int bit = -1; (bit = bms_next_member(shown, bit)) >= 0;)
    if (!list_member_int(spec.identity, bit + FirstLowInvalidHeapAttributeNumber))
      return "all, without former values: they are not logged (REPLICA IDENTITY FULL)";
  return "those that change a selected column: all are in the replica identity";
}

void ExplainStream(const Plan& plan, ResultRows* rows) {
  const QuerySpec& spec = plan.spec;
  AddProperty(rows, "key", Key(plan));
  AddProperty(rows, "replica identity",
              spec.full_identity ? "full" : ColumnNames(spec.relation, spec.identity));
  AddProperty(rows, "updates", Updates(spec));
  ExplainRouting(spec, rows);
  AddProperty(rows, "row security and barriers", Conditions(spec.relation, spec.barrier_quals));
  AddProperty(rows, "residual filter", Conditions(spec.relation, spec.quals));
}

const char* KeyOfResult(const Plan& plan) {
  const QuerySpec& spec = plan.spec;
  if (spec.bag) return "none: the whole row";
  if (spec.key == NIL) return "none: there is one row at most";
  const char* names = nullptr;
  ListCell* cell;
  foreach (cell, spec.key) {
    const int number = lfirst_int(cell);
    const char* name = quote_identifier(strVal(list_nth(spec.column_names, number - 1)));
    const bool shown = number <= list_length(spec.result_columns);
    names = Joined(names, ", ", shown ? name : psprintf("%s (not selected)", name));
  }
  return plan.why_opaque == nullptr ? names
                                    : psprintf("opaque, for %s: %s", names, plan.why_opaque);
}

const char* RoutingOfResult(const QuerySpec& spec) {
  const char* text = nullptr;
  ListCell* cell;
  foreach (cell, RoutingColumns(spec.routing_conditions)) {
    const char* name = strVal(list_nth(spec.column_names, lfirst_int(cell) - 1));
    text = Joined(text, ", ", quote_identifier(name));
  }
  return text;
}

const char* QueryText(const Query* query) {
  return pg_get_querydef(static_cast<Query*>(copyObjectImpl(query)), false);
}

const char* Types(List* columns) {
  const char* types = nullptr;
  ListCell* cell;
  foreach (cell, columns) {
    const auto& column = *static_cast<SetColumn*>(lfirst(cell));
    types =
        Joined(types, ", ", psprintf("$%d %s", column.param, format_type_be(column.array_type)));
  }
  return types == nullptr ? "whether there is any" : types;
}

void ExplainSet(const StaleSet& set, ResultRows* rows) {
  const char* property = psprintf("stale set %d", set.number + 1);
  if (OidIsValid(set.table)) {
    const char* changed = psprintf("%s: changed rows of %s, by %s", Types(set.columns),
                                   QualifiedName(set.table), ColumnNames(set.table, set.identity));
    const char* matter =
        set.relevant == nullptr ? nullptr : Conditions(set.table, set.relevant->conditions);
    AddProperty(rows, property,
                matter == nullptr
                    ? changed
                    : psprintf("%s, that fulfil %s before or after", changed, matter));
    return;
  }
  const char* probes = nullptr;
  ListCell* cell;
  foreach (cell, set.probe)
    probes = Joined(probes, " UNION ", QueryText(static_cast<Restricted*>(lfirst(cell))->query));
  const char* which = set.of_routes ? "those that are watched, " : "";
  AddProperty(rows, property,
              psprintf("%s: %sat both snapshots, %s", Types(set.columns), which, probes));
}

// What is done when the time moves on.
void ExplainClock(const DeltaPlan& delta, ResultRows* rows) {
  const bool windowed = delta.why_whole == nullptr && delta.windows.why_none == nullptr;
  constexpr const char* kRows = "the rows for which it makes a difference are as if changed";
  constexpr const char* kWhole = "the whole query is evaluated at both times";
  const char* why_steps = WhyInSteps(delta);
  if (why_steps == nullptr)
    AddProperty(rows, "clock",
                psprintf("$%d: by an alarm, at the next moment at which it makes a difference, %s",
                         kClockParam, kRows));
  else
    AddProperty(rows, "clock",
                psprintf("$%d: in steps (refresh_every), %s: %s", kClockParam,
                         windowed ? kRows : kWhole, why_steps));
  ListCell* cell;
  foreach (cell, windowed ? delta.windows.all : NIL) {
    const auto& window = *static_cast<ClockWindow*>(lfirst(cell));
    const char* column = quote_identifier(get_attname(window.table, window.column, false));
    const char* index = IndexOn(window.table, window.column);
    AddProperty(
        rows, "rows by the clock",
        psprintf("%s by %s, %s: %s", QualifiedName(window.table), column,
                 index == nullptr ? "which is read as a whole, as no index of it begins with that"
                                  : psprintf("index %s", quote_identifier(index)),
                 QueryText(window.rows)));
  }
}

// Groups that are kept, and what moves them.
void ExplainMoving(const MovingGroups& moving, ResultRows* rows) {
  ListCell* cell;
  foreach (cell, moving.inputs)
    AddProperty(rows, "groups are kept",
                psprintf("and moved by the rows that come and go: %s",
                         QueryText(static_cast<Restricted*>(lfirst(cell))->query)));
}

void ExplainBoundary(const ListBoundary& boundary, ResultRows* rows) {
  AddProperty(rows, "boundary is kept",
              psprintf("of each list of " INT64_FORMAT
                       " rows: a change behind the last one is compared with that, and nothing is "
                       "evaluated",
                       boundary.rows));
}

// How a result is kept live: what may be stale after a batch of changes, and what is evaluated
// then.
void ExplainDelta(const Plan& plan, ResultRows* rows) {
  AddProperty(rows, "not by the stream", plan.why_not_stream);
  AddProperty(rows, "key", KeyOfResult(plan));
  AddProperty(rows, "routing", RoutingOfResult(plan.spec));
  const DeltaPlan delta = PlanDelta(plan.spec.query);
  if (delta.asks_clock) ExplainClock(delta, rows);
  ListCell* cell;
  foreach (cell, delta.decided) AddProperty(rows, "open answer", strVal(lfirst(cell)));
  if (delta.why_whole != nullptr) return;
  foreach (cell, delta.sets) ExplainSet(*static_cast<StaleSet*>(lfirst(cell)), rows);
  if (delta.moving != nullptr) ExplainMoving(*delta.moving, rows);
  if (delta.boundary != nullptr) ExplainBoundary(*delta.boundary, rows);
  foreach (cell, delta.restricted)
    AddProperty(rows, "evaluated", QueryText(static_cast<Restricted*>(lfirst(cell))->query));
  AddProperty(rows, "plans",
              psprintf("generic, and kept; made for the batch from %d values of a stale set on",
                       kPlannedAnew));
}

Datum ExplainCall(FunctionCallInfo call) {
  const char* query = TextArgument(call, 0, "query");
  List* params = TextArrayArgument(call, 1);
  const FrozenValues nothing = {};
  const Plan plan = MakePlan(query, params, nothing, ChoiceOfSession());
  ResultRows rows(call);
  AddProperty(&rows, "strategy", CopyText(ToText(plan.strategy)));
  AddProperty(&rows, "why", plan.why);
  AddProperty(&rows, "tables", TableNames(plan.table_names));
  if (plan.strategy == Strategy::kStream)
    ExplainStream(plan, &rows);
  else
    ExplainDelta(plan, &rows);
  return static_cast<Datum>(0);
}

}  // namespace
}  // namespace live_queries

Datum live_queries_explain(PG_FUNCTION_ARGS) { return live_queries::ExplainCall(fcinfo); }
