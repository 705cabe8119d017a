// The columns are among those by which each step of the query tells rows apart, so that what is
// left is as it was. Process: evaluator.
#include "delta/watched_rows.hpp"

#include "analyze/tree.hpp"
#include "delta/nulling_joins.hpp"
#include "delta/restriction.hpp"
#include "delta/value_by_value.hpp"

extern "C" {
#include "parser/parsetree.h"
}

namespace live_queries {
namespace {

Expr* ColumnOf(const Query& query, int number) {
  return get_tle_by_resno(query.targetList, static_cast<AttrNumber>(number))->expr;
}

// nullptr if a type has no arrays.
StaleSet* ValuesOf(List* columns, DeltaPlan* plan) {
  StaleSet* set = static_cast<StaleSet*>(palloc0(sizeof(StaleSet)));
  set->number = list_length(plan->sets);
  set->of_routes = true;
  ListCell* cell;
  foreach (cell, columns) {
    SetColumn* column = static_cast<SetColumn*>(palloc0(sizeof(SetColumn)));
    if (!DescribeColumn(ColumnOf(*plan->query, lfirst_int(cell)), column)) return nullptr;
    column->param = ++plan->params;
    set->columns = lappend(set->columns, column);
  }
  return set;
}

Query* RestrictedTo(const StaleSet& values, List* columns, const Query* whole) {
  Query* query = CopyOf(whole);
  ForgetNullingJoins(query);
  ListCell* number;
  ListCell* column;
  forboth (number, columns, column, values.columns)
    Restrict(query, CopyOf(ColumnOf(*query, lfirst_int(number))),
             *static_cast<SetColumn*>(lfirst(column)));
  NoteNullingJoins(query);
  return query;
}

}  // namespace

WatchedRows RestrictToWatched(List* routing_columns, DeltaPlan* plan) {
  WatchedRows watched = {nullptr, NIL, plan->query};
  if (routing_columns == NIL || plan->why_whole != nullptr || IsValueByValue(*plan->query))
    return watched;
  watched.values = ValuesOf(routing_columns, plan);
  if (watched.values == nullptr) return watched;
  watched.whole = RestrictedTo(*watched.values, routing_columns, plan->query);
  ListCell* cell;
  foreach (cell, plan->restricted) {
    const auto& whole = *static_cast<Restricted*>(lfirst(cell));
    Restricted* part = static_cast<Restricted*>(palloc(sizeof(Restricted)));
    *part = {whole.set, RestrictedTo(*watched.values, routing_columns, whole.query)};
    watched.restricted = lappend(watched.restricted, part);
  }
  return watched;
}

}  // namespace live_queries
