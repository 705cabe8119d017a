// The planner's hook. An index counts as old once the row of pg_index that says that it is valid is
// visible to every snapshot that this process has: who deleted rows before it was built had then
// ended as well. Process: evaluator, client backend.
#include "evaluate/old_indexes.hpp"

#include "pg/fault.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

get_relation_info_hook_type previous_hook = nullptr;
bool only_old_ones = false;

bool IsOld(Oid index) {
  HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
  if (!HeapTupleIsValid(tuple)) return false;
  const TransactionId written_by = HeapTupleHeaderGetXmin(tuple->t_data);
  ReleaseSysCache(tuple);
  return TransactionIdPrecedes(written_by, TransactionXmin);
}

void OnRelationInfo(PlannerInfo* root, Oid table, bool inheritance_parent, RelOptInfo* relation) {
  if (previous_hook != nullptr) previous_hook(root, table, inheritance_parent, relation);
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

void InstallIndexAgeHook() {
  previous_hook = get_relation_info_hook;
  get_relation_info_hook = OnRelationInfo;
}

bool UseOldIndexesOnly(bool only_old) {
  const bool outer = only_old_ones;
  only_old_ones = only_old;
  return outer;
}

}  // namespace live_queries
