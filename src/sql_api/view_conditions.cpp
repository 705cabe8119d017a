// The planner's hook on what a query selects from. A condition `column = expression` replaces the
// argument of that column, if the expression has one value for the whole of the scan.
// Process: any that plans queries.
#include "sql_api/view_conditions.hpp"

#include "analyze/tree.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

Datum live_queries_subscriptions(PG_FUNCTION_ARGS);
}

namespace live_queries {
namespace {

set_rel_pathlist_hook_type previous_hook = nullptr;

// The arguments are those of the first columns, in their order.
constexpr int kArguments = 4;

// The call in `FROM live.subscriptions(...)`; nullptr: it is something else.
FuncExpr* CallIn(const RangeTblEntry& entry) {
  if (entry.rtekind != RTE_FUNCTION || list_length(entry.functions) != 1) return nullptr;
  Node* call = linitial_node(RangeTblFunction, entry.functions)->funcexpr;
  if (!IsA(call, FuncExpr)) return nullptr;
  FuncExpr* function = castNode(FuncExpr, call);
  if (list_length(function->args) != kArguments || !function->funcretset) return nullptr;
  const char* name = get_func_name(function->funcid);
  if (name == nullptr || strcmp(name, "subscriptions") != 0) return nullptr;
  FmgrInfo found;
  fmgr_info(function->funcid, &found);
  return found.fn_addr == live_queries_subscriptions ? function : nullptr;
}

// Parameters of the client's are no others' rows; those of the executor may be.
bool DependsOnOthers(Node* node, void* unused) {
  if (node == nullptr) return false;
  if (IsA(node, Param) && castNode(Param, node)->paramkind != PARAM_EXTERN) return true;
  if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) || IsA(node, SubLink)) return true;
  return WalkChildren(node, DependsOnOthers, unused);
}

bool HasOneValue(Node* node) {
  return is_pseudo_constant_clause(node) && !DependsOnOthers(node, nullptr);
}

// `value`, of the type of the argument; nullptr if the operator is no such equality.
Node* ArgumentFor(const OpExpr& condition, bool swapped, Node* value) {
  switch (get_opcode(condition.opno)) {
    case F_INT4EQ:
    case F_INT8EQ:
      return value;
    case F_INT84EQ:
    case F_INT48EQ:
      // The column is the bigint.
      if (swapped != (get_opcode(condition.opno) == F_INT48EQ)) return nullptr;
      return AsNode(makeFuncExpr(F_INT8_INT4, INT8OID, list_make1(value), InvalidOid, InvalidOid,
                                 COERCE_IMPLICIT_CAST));
    case F_TEXTEQ:
      // Otherwise texts that differ may be equal, or cannot be compared.
      if (!OidIsValid(condition.inputcollid)) return nullptr;
      return get_collation_isdeterministic(condition.inputcollid) ? value : nullptr;
    default:
      return nullptr;
  }
}

void SetArgument(FuncExpr* call, Index relation, Node* column, bool swapped,
                 const OpExpr& condition, Node* value) {
  if (!IsA(column, Var)) return;
  const Var& var = *castNode(Var, column);
  if (var.varno != static_cast<int>(relation) || var.varlevelsup != 0) return;
  if (var.varattno < 1 || var.varattno > kArguments || !HasOneValue(value)) return;
  ListCell* argument = list_nth_cell(call->args, var.varattno - 1);
  // What was given stays.
  if (!IsA(lfirst(argument), Const) || !lfirst_node(Const, argument)->constisnull) return;
  Node* fitting = ArgumentFor(condition, swapped, value);
  if (fitting != nullptr) lfirst(argument) = copyObjectImpl(fitting);
}

void OnRelation(PlannerInfo* root, RelOptInfo* relation, Index index, RangeTblEntry* entry) {
  if (previous_hook != nullptr) previous_hook(root, relation, index, entry);
  if (relation->baserestrictinfo == NIL) return;
  FuncExpr* call = CallIn(*entry);
  if (call == nullptr) return;
  ListCell* cell;
  foreach (cell, relation->baserestrictinfo) {
    Node* clause = AsNode(lfirst_node(RestrictInfo, cell)->clause);
    if (!IsA(clause, OpExpr)) continue;
    const OpExpr& condition = *castNode(OpExpr, clause);
    if (list_length(condition.args) != 2) continue;
    Node* left = static_cast<Node*>(linitial(condition.args));
    Node* right = static_cast<Node*>(lsecond(condition.args));
    SetArgument(call, index, left, false, condition, right);
    SetArgument(call, index, right, true, condition, left);
  }
}

}  // namespace

void InstallViewConditions() {
  previous_hook = set_rel_pathlist_hook;
  set_rel_pathlist_hook = OnRelation;
}

}  // namespace live_queries
