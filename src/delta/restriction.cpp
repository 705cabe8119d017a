// From the outermost level of a query to the innermost. Process: any.
#include "delta/restriction.hpp"

#include "analyze/tree.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

// `expression` as the operator's argument: varchar as text, a domain as its base.
Expr* AsOperand(Expr* expression, Oid type, Oid collation) {
  if (exprType(AsNode(expression)) == type) return expression;
  return reinterpret_cast<Expr*>(
      makeRelabelType(expression, type, -1, collation, COERCE_IMPLICIT_CAST));
}

void AddCondition(Query* query, Expr* condition) {
  Node** quals =
      contain_aggs_of_level(AsNode(condition), 0) ? &query->havingQual : &query->jointree->quals;
  *quals = make_and_qual(*quals, AsNode(condition));
}

bool IsAmongClauses(const TargetEntry& target, List* clauses) {
  ListCell* cell;
  foreach (cell, clauses)
    if (lfirst_node(SortGroupClause, cell)->tleSortGroupRef == target.ressortgroupref &&
        target.ressortgroupref != 0)
      return true;
  return false;
}

// Whether rows with one value of a result column do not depend on those with others.
bool MayRestrictColumn(const Query* query, AttrNumber number) {
  if (query->limitCount != nullptr || query->limitOffset != nullptr) return false;
  if (query->setOperations != nullptr) return true;
  if (query->groupingSets != NIL || query->hasTargetSRFs) return false;
  const TargetEntry& target = *get_tle_by_resno(query->targetList, number);
  if ((query->hasAggs || query->groupClause != NIL) && !IsAmongClauses(target, query->groupClause))
    return false;
  ListCell* cell;
  foreach (cell, query->windowClause)
    if (!IsAmongClauses(target, lfirst_node(WindowClause, cell)->partitionClause)) return false;
  return !query->hasDistinctOn || IsAmongClauses(target, query->distinctClause);
}

// Whether the condition may go into `entry`. In a security barrier it could come before those of
// that: a column as it is tells nothing, but what computes one may fail, and say of which row.
bool MayGoInto(const RangeTblEntry& entry, AttrNumber number) {
  if (entry.rtekind != RTE_SUBQUERY || !MayRestrictColumn(entry.subquery, number)) return false;
  const TargetEntry& target = *get_tle_by_resno(entry.subquery->targetList, number);
  return !entry.security_barrier || IsA(WithoutRelabel(AsNode(target.expr)), Var);
}

void RestrictColumn(Query* query, AttrNumber number, const SetColumn& column) {
  Restrict(query, get_tle_by_resno(query->targetList, number)->expr, column);
}

// Restricts what a set operation combines.
void RestrictLeaves(Query* query, AttrNumber number, const SetColumn& column) {
  const auto* operation = castNode(SetOperationStmt, query->setOperations);
  ListCell* cell;
  foreach (cell, CombinedBy(*query)) {
    RangeTblEntry* entry = lfirst_node(RangeTblEntry, cell);
    Query* leaf = entry->subquery;
    if (!MayRestrictColumn(leaf, number)) leaf = Wrapped(leaf);
    const Oid type = list_nth_oid(operation->colTypes, number - 1);
    const Oid own = exprType(AsNode(get_tle_by_resno(leaf->targetList, number)->expr));
    if (own != type && leaf->setOperations != nullptr) leaf = Wrapped(leaf);
    entry->subquery = leaf;
    // As the operation sees it.
    Restrict(leaf, AsType(get_tle_by_resno(leaf->targetList, number)->expr, type), column);
  }
}

}  // namespace

bool IsNullable(Node* node, int index, bool nullable) {
  if (IsA(node, RangeTblRef)) return nullable && castNode(RangeTblRef, node)->rtindex == index;
  if (IsA(node, JoinExpr)) {
    const auto* join = castNode(JoinExpr, node);
    const bool left = join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL;
    const bool right = join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL;
    return IsNullable(join->larg, index, nullable || left) ||
           IsNullable(join->rarg, index, nullable || right);
  }
  ListCell* cell;
  foreach (cell, castNode(FromExpr, node)->fromlist)
    if (IsNullable(static_cast<Node*>(lfirst(cell)), index, nullable)) return true;
  return false;
}

Query* Wrapped(Query* inner) {
  RangeTblEntry* entry = makeNode(RangeTblEntry);
  entry->rtekind = RTE_SUBQUERY;
  entry->subquery = inner;
  entry->eref = makeAlias("inner", NIL);
  entry->inFromCl = true;
  Query* outer = makeNode(Query);
  outer->commandType = CMD_SELECT;
  outer->canSetTag = true;
  outer->rtable = list_make1(entry);
  RangeTblRef* reference = makeNode(RangeTblRef);
  reference->rtindex = 1;
  outer->jointree = makeFromExpr(list_make1(reference), nullptr);
  IncrementVarSublevelsUp(AsNode(inner), 1, 1);
  ListCell* cell;
  foreach (cell, inner->targetList) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    if (target->resjunk) continue;
    entry->eref->colnames = lappend(entry->eref->colnames, makeString(pstrdup(target->resname)));
    outer->targetList =
        lappend(outer->targetList,
                makeTargetEntry(reinterpret_cast<Expr*>(makeVarFromTargetEntry(1, target)),
                                target->resno, pstrdup(target->resname), false));
  }
  return outer;
}

Expr* AsType(Expr* expression, Oid type) {
  if (exprType(AsNode(expression)) == type) return expression;
  return reinterpret_cast<Expr*>(
      coerce_to_common_type(nullptr, AsNode(CopyOf(expression)), type, "UNION/INTERSECT/EXCEPT"));
}

bool DescribeColumn(const Expr* expression, SetColumn* column) {
  const Node* node = reinterpret_cast<const Node*>(expression);
  Oid type = getBaseType(exprType(node));
  const TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_EQ_OPR);
  if (!OidIsValid(entry->eq_opr)) return false;
  Oid left;
  Oid right;
  op_input_types(entry->eq_opr, &left, &right);
  // The operator of another type, to which ours is binary coercible; but not "any array".
  if (get_typtype(left) != TYPTYPE_PSEUDO) type = left;
  *column = {0, 0, type, get_array_type(type), entry->eq_opr, exprCollation(node)};
  return OidIsValid(column->array_type);
}

Expr* IsAmong(Expr* expression, const SetColumn& column) {
  ScalarArrayOpExpr* test = makeNode(ScalarArrayOpExpr);
  test->opno = column.equality;
  test->opfuncid = get_opcode(column.equality);
  test->useOr = true;
  test->inputcollid = column.collation;
  test->args = list_make2(AsOperand(CopyOf(expression), column.type, column.collation),
                          MakeParam(column.param, column.array_type));
  test->location = -1;
  Expr* among = reinterpret_cast<Expr*>(test);
  if (column.null_param == 0) return among;
  NullTest* is_null = makeNode(NullTest);
  is_null->arg = CopyOf(expression);
  is_null->nulltesttype = IS_NULL;
  is_null->argisrow = false;
  is_null->location = -1;
  Expr* null_wanted =
      makeBoolExpr(AND_EXPR, list_make2(is_null, MakeParam(column.null_param, BOOLOID)), -1);
  return makeBoolExpr(OR_EXPR, list_make2(among, null_wanted), -1);
}

void Restrict(Query* query, Expr* expression, const SetColumn& column) {
  const Node* plain = WithoutRelabel(AsNode(expression));
  // What LATERAL shows of its surroundings is a column of another level.
  if (IsA(plain, Var) && reinterpret_cast<const Var*>(plain)->varlevelsup == 0) {
    const auto* var = reinterpret_cast<const Var*>(plain);
    if (query->setOperations != nullptr) return RestrictLeaves(query, var->varattno, column);
    RangeTblEntry* entry = rt_fetch(var->varno, query->rtable);
    if (!IsNullable(AsNode(query->jointree), var->varno, false)) {
      if (MayGoInto(*entry, var->varattno))
        return RestrictColumn(entry->subquery, var->varattno, column);
      if (entry->rtekind == RTE_RELATION && entry->securityQuals != NIL) {
        // Before those of row security, which would let only leakproof conditions through.
        entry->securityQuals = lcons(IsAmong(expression, column), entry->securityQuals);
        return;
      }
    }
  }
  AddCondition(query, IsAmong(expression, column));
}

}  // namespace live_queries
