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

}  // namespace

void WatchPlan(DatabaseShared* database, DirtyLogShared* log, int consumer, const DeltaPlan& plan,
               PlanWatches* watches) {
  *watches = {};
  watches->of_set = static_cast<List**>(palloc0(sizeof(List*) * (list_length(plan.sets) + 1)));
  ListCell* set_cell;
  foreach (set_cell, plan.sets) {
    const auto& set = *static_cast<StaleSet*>(lfirst(set_cell));
    if (!OidIsValid(set.table)) continue;
    ListCell* cell;
    foreach (cell, set.relations) {
      const Oid relation = lfirst_oid(cell);
      List* columns = ColumnsIn(relation, set.table, set.identity);
      // A place first, so that nothing can fail once it is watched.
      watches->all = lappend_int(watches->all, 0);
      List** of_set = &watches->of_set[set.number];
      *of_set = lappend_int(*of_set, 0);
      const uint32 number = WatchIdentity(database, log, consumer, relation, columns);
      llast_int(watches->all) = llast_int(*of_set) = static_cast<int>(number);
    }
  }
}

void UnwatchPlan(DatabaseShared* database, DirtyLogShared* log, int consumer,
                 const PlanWatches& watches) {
  ListCell* cell;
  foreach (cell, watches.all)
    if (lfirst_int(cell) != 0)
      UnwatchIdentity(database, log, consumer, static_cast<uint32>(lfirst_int(cell)));
}

}  // namespace live_queries
