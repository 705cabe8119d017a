// The planner's hook. An index counts as old once the row of pg_index that says that it is valid is
// visible to every snapshot that this process has: who deleted rows before it was built had then
// ended as well. Process: evaluator, client backend.
#include "evaluate/old_indexes.hpp"

#include "pg/compat.hpp"
#include "pg/fault.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "nodes/pathnodes.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

bool only_old_ones = false;

bool IsOld(Oid index) {
  HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
  if (!HeapTupleIsValid(tuple)) return false;
  const TransactionId written_by = HeapTupleHeaderGetXmin(tuple->t_data);
  ReleaseSysCache(tuple);
  return TransactionIdPrecedes(written_by, TransactionXmin);
}

void OnTableInfo(PlannerInfo* root, Oid, RelOptInfo* relation) {
  if (!only_old_ones) return;
  List* old_ones = NIL;
  ListCell* cell;
  foreach (cell, relation->indexlist) {
    IndexOptInfo* index = static_cast<IndexOptInfo*>(lfirst(cell));
    if (IsOld(index->indexoid) || LIVE_QUERIES_MUTATION("use_young_indexes"))
      old_ones = lappend(old_ones, index);
    else
      root->glob->transientPlan = true;
  }
  relation->indexlist = old_ones;
}

}  // namespace

void InstallIndexAgeHook() { HookTableInfo<OnTableInfo>::Install(); }

bool UseOldIndexesOnly(bool only_old) {
  const bool outer = only_old_ones;
  only_old_ones = only_old;
  return outer;
}

}  // namespace live_queries
