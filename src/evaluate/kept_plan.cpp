// What plancache.c does for queries that have a text. Process: evaluator.
#include "evaluate/kept_plan.hpp"

#include "analyze/tree.hpp"
#include "pg/compat.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "executor/executor.h"
#include "jit/jit.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

constexpr char kText[] = "part of a live query";  // for messages and those who log

KeptPlan* first_kept = nullptr;

void OnRelationChange(Datum, Oid relation) {
  for (KeptPlan* kept = first_kept; kept != nullptr; kept = kept->next) {
    if (!kept->valid || kept->generic == nullptr) continue;
    if (!OidIsValid(relation) || list_member_oid(kept->generic->relationOids, relation))
      kept->valid = false;
  }
}

// A function or type, by its hash; 0: any.
template <class CacheId>  // a type of its own since 19
void OnObjectChange(Datum, CacheId cache, uint32 hash) {
  for (KeptPlan* kept = first_kept; kept != nullptr; kept = kept->next) {
    if (!kept->valid || kept->generic == nullptr) continue;
    ListCell* cell;
    foreach (cell, kept->generic->invalItems) {
      const auto* item = lfirst_node(PlanInvalItem, cell);
      if (item->cacheId == cache && (hash == 0 || item->hashValue == hash)) kept->valid = false;
    }
  }
}

// Of what changes so rarely that nobody asks which plans depend on it.
template <class CacheId>
void OnAnyChange(Datum, CacheId, uint32) {
  for (KeptPlan* kept = first_kept; kept != nullptr; kept = kept->next) kept->valid = false;
}

void Forget(void* pointer) {
  auto* kept = static_cast<KeptPlan*>(pointer);
  KeptPlan** link = &first_kept;
  while (*link != kept) link = &(*link)->next;
  *link = kept->next;
}

bool NoteParams(Node* node, KeptPlan* kept) {
  if (node == nullptr) return false;
  if (IsA(node, Param) && castNode(Param, node)->paramkind == PARAM_EXTERN)
    kept->params = bms_add_member(kept->params, castNode(Param, node)->paramid);
  return WalkChildren(node, NoteParams, kept);
}

void LockTables(const PlannedStmt& plan) {
  ListCell* cell;
  foreach (cell, plan.rtable) {
    const auto* entry = lfirst_node(RangeTblEntry, cell);
    if (entry->rtekind == RTE_RELATION) LockRelationOid(entry->relid, entry->rellockmode);
  }
}

PlannedStmt* MakePlan(const KeptPlan& kept, ParamListInfo params) {
  Query* query = static_cast<Query*>(copyObjectImpl(kept.query));
  AcquireRewriteLocks(query, false, false);
  // Not in parallel: workers have no room for the transactions that such snapshots hide.
  PlannedStmt* plan = PlanRewritten(query, kText, 0, params);
  // It would take longer than what is executed.
  plan->jitFlags = PGJIT_NONE;
  return plan;
}

void PlanGeneric(KeptPlan* kept) {
  if (kept->planning == nullptr)
    kept->planning =
        AllocSetContextCreate(kept->context, "live_queries generic plan", ALLOCSET_SMALL_SIZES);
  kept->generic = nullptr;
  MemoryContextReset(kept->planning);
  MemoryContext scratch =
      AllocSetContextCreate(CurrentMemoryContext, "live_queries planning", ALLOCSET_DEFAULT_SIZES);
  const PlannedStmt* plan = InMemoryContext(scratch, [&] { return MakePlan(*kept, nullptr); });
  InMemoryContext(kept->planning,
                  [&] { kept->generic = static_cast<PlannedStmt*>(copyObjectImpl(plan)); });
  MemoryContextDelete(scratch);
  // Another one is better as soon as an index that is too new for this transaction is not any more.
  kept->valid = !kept->generic->transientPlan;
}

struct RowReceiver {
  DestReceiver server;
  ReceiveRow receive;
  void* receive_context;
  MemoryContext memory;
};

bool OnRow(TupleTableSlot* row, DestReceiver* destination) {
  auto* receiver = reinterpret_cast<RowReceiver*>(destination);
  return InMemoryContext(receiver->memory,
                         [&] { return receiver->receive(row, receiver->receive_context); });
}

}  // namespace

void PrepareKeptPlans() {
  CacheRegisterRelcacheCallback(OnRelationChange, 0);
  for (const auto cache : {PROCOID, TYPEOID})
    CacheRegisterSyscacheCallback(cache, OnObjectChange, 0);
  for (const auto cache :
       {NAMESPACEOID, OPEROID, AMOPOPID, FOREIGNSERVEROID, FOREIGNDATAWRAPPEROID})
    CacheRegisterSyscacheCallback(cache, OnAnyChange, 0);
}

KeptPlan* KeepPlan(MemoryContext context, const Query* query) {
  KeptPlan* kept = AllocateIn<KeptPlan>(context);
  kept->context = context;
  kept->query = query;
  InMemoryContext(context, [&] {
    (void)NoteParams(AsNode(const_cast<Query*>(query)), kept);
    MemoryContextCallback* callback = AllocateIn<MemoryContextCallback>(context);
    callback->func = Forget;
    callback->arg = kept;
    MemoryContextRegisterResetCallback(context, callback);
  });
  kept->next = first_kept;
  first_kept = kept;
  return kept;
}

const PlannedStmt* PlanQuery(KeptPlan* kept, ParamListInfo params, bool generic) {
  if (!generic) return MakePlan(*kept, params);
  if (kept->generic != nullptr && kept->valid) {
    LockTables(*kept->generic);
    // With the locks come the changes that were made before.
    if (kept->valid) return kept->generic;
  }
  PlanGeneric(kept);
  return kept->generic;
}

void Execute(const PlannedStmt* plan, ParamListInfo params, Snapshot snapshot, uint64 limit,
             ReceiveRow receive, void* context) {
  RowReceiver receiver = {*None_Receiver, receive, context, CurrentMemoryContext};
  receiver.server.receiveSlot = OnRow;
  PushActiveSnapshot(snapshot);
  QueryDesc* query = CreateQueryDesc(const_cast<PlannedStmt*>(plan), kText, GetActiveSnapshot(),
                                     InvalidSnapshot, &receiver.server, params, nullptr, 0);
  ExecutorStart(query, 0);
  RunExecutor(query, limit);
  ExecutorFinish(query);
  ExecutorEnd(query);
  FreeQueryDesc(query);
  PopActiveSnapshot();
}

}  // namespace live_queries
