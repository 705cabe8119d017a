// Each table with rows has numbers of its own for the columns of the table that a query names.
// Process: evaluator.
#include "evaluate/plan_watches.hpp"

extern "C" {
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// The columns of `table` in `relation`, which is one of its partitions or children, or itself. NIL
// if it lacks one: then any change of it makes the whole table dirty.
List* ColumnsIn(Oid relation, Oid table, List* columns) {
  if (relation == table) return columns;
  List* numbers = NIL;
  ListCell* cell;
  foreach (cell, columns) {
    const char* name = get_attname(table, static_cast<AttrNumber>(lfirst_int(cell)), false);
    const AttrNumber number = get_attnum(relation, name);
    if (number == InvalidAttrNumber) return NIL;
    numbers = lappend_int(numbers, number);
  }
  return numbers;
}

struct Watching {
  DatabaseShared* database;
  DirtyLogShared* log;
  int consumer;
  PlanWatches* watches;
};

int Watch(const Watching& at, Oid relation, List* columns) {
  // A place first, so that nothing can fail once it is watched.
  at.watches->relations = lappend_oid(at.watches->relations, relation);
  at.watches->all = lappend_int(at.watches->all, 0);
  const uint32 number = WatchIdentity(at.database, at.log, at.consumer, relation, columns);
  return llast_int(at.watches->all) = static_cast<int>(number);
}

void WatchSets(const Watching& at, const DeltaPlan& plan) {
  ListCell* set_cell;
  foreach (set_cell, plan.sets) {
    const auto& set = *static_cast<StaleSet*>(lfirst(set_cell));
    if (!OidIsValid(set.table)) continue;
    ListCell* cell;
    foreach (cell, set.relations) {
      const Oid relation = lfirst_oid(cell);
      List* columns = ColumnsIn(relation, set.table, set.identity);
      List** of_set = &at.watches->of_set[set.number];
      *of_set = lappend_int(*of_set, 0);
      llast_int(*of_set) = Watch(at, relation, columns);
    }
  }
}

}  // namespace

void WatchPlan(DatabaseShared* database, DirtyLogShared* log, int consumer, const DeltaPlan& plan,
               List* relations, PlanWatches* watches) {
  *watches = {};
  watches->of_set = static_cast<List**>(palloc0(sizeof(List*) * (list_length(plan.sets) + 1)));
  const Watching at = {database, log, consumer, watches};
  // Where the whole query is evaluated, rows do not matter.
  if (plan.why_whole == nullptr) WatchSets(at, plan);
  ListCell* cell;
  foreach (cell, relations)
    if (!list_member_oid(watches->relations, lfirst_oid(cell)))
      (void)Watch(at, lfirst_oid(cell), NIL);
}

void UnwatchPlan(DatabaseShared* database, DirtyLogShared* log, int consumer,
                 const PlanWatches& watches) {
  ListCell* cell;
  foreach (cell, watches.all)
    if (lfirst_int(cell) != 0)
      UnwatchIdentity(database, log, consumer, static_cast<uint32>(lfirst_int(cell)));
}

}  // namespace live_queries
