// Down the join tree to the table, and back up as far as each row of it has to pass. Process:
// client backend, evaluator.
#include "delta/relevant_rows.hpp"

#include "analyze/tree.hpp"
#include "delta/restriction.hpp"
#include "pg/compat.hpp"
#include "pg/fault.hpp"

extern "C" {
#include "access/stratnum.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

// An entry of the range table of a level.
struct Place {
  int index;
  Oid table;
};

// ----- conditions that may be tested anywhere -----

bool IsStored(char generated) {
  return generated == '\0' || generated == ATTRIBUTE_GENERATED_STORED;
}

// Whether comparing values of it runs nothing but the server's code, and raises no error.
bool IsPlain(Oid type) {
  type = getBaseType(type);
  const char kind = get_typtype(type);
  return !OidIsValid(get_element_type(type)) &&
         (kind == TYPTYPE_ENUM || (kind == TYPTYPE_BASE && type < FirstUnpinnedObjectId));
}

// Whether it is one of `< <= = >= > <>` of the type of `argument`, which is plain.
bool IsComparison(Oid operation, Node* argument) {
  const Oid type = getBaseType(exprType(argument));
  if (!IsPlain(type)) return false;
  const Oid family = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
  if (!OidIsValid(family)) return false;
  if (get_op_opfamily_strategy(operation, family) != InvalidStrategy) return true;
  const Oid negator = get_negator(operation);
  return OidIsValid(negator) && get_op_opfamily_strategy(negator, family) == BTEqualStrategyNumber;
}

bool IsHarmlessFunction(Oid function) {
  return function < FirstUnpinnedObjectId && func_volatile(function) == PROVOLATILE_IMMUTABLE;
}

bool IsHarmlessOperator(Oid operation, Oid collation, Node* argument) {
  const Oid function = get_opcode(operation);
  if (!IsHarmlessFunction(function)) return false;
  // Without a collation that is certain, it is an error; with one, what is leakproof may still be
  // (`^@`, where that is not deterministic).
  if (OidIsValid(get_typcollation(exprType(argument))) && !OidIsValid(collation)) return false;
  if (IsComparison(operation, argument)) return true;
  return get_func_leakproof(function) && !OidIsValid(collation);
}

// A constant that becomes one of another type does so as well where the query is planned.
bool IsHarmlessCall(const FuncExpr& call) {
  if (!IsHarmlessFunction(call.funcid) || call.funcretset) return false;
  const bool converts_constant = call.funcformat == COERCE_IMPLICIT_CAST &&
                                 list_length(call.args) == 1 && IsA(linitial(call.args), Const);
  return converts_constant || (get_func_leakproof(call.funcid) && !OidIsValid(call.inputcollid));
}

bool IsHarmless(Node* node, const Place& place);

bool AreHarmless(List* nodes, const Place& place) {
  ListCell* cell;
  foreach (cell, nodes)
    if (!IsHarmless(static_cast<Node*>(lfirst(cell)), place)) return false;
  return true;
}

bool IsHarmless(Node* node, const Place& place) {
  switch (nodeTag(node)) {
    case T_Const:
      return true;
    case T_Var: {
      const auto* var = castNode(Var, node);
      return var->varno == place.index && var->varlevelsup == 0 && var->varattno > 0 &&
             IsStored(get_attgenerated(place.table, var->varattno));
    }
    case T_RelabelType:
      return IsHarmless(AsNode(castNode(RelabelType, node)->arg), place);
    case T_CollateExpr:
      return IsHarmless(AsNode(castNode(CollateExpr, node)->arg), place);
    case T_BoolExpr:
      return AreHarmless(castNode(BoolExpr, node)->args, place);
    case T_BooleanTest:
      return IsHarmless(AsNode(castNode(BooleanTest, node)->arg), place);
    case T_NullTest:
      return !castNode(NullTest, node)->argisrow &&
             IsHarmless(AsNode(castNode(NullTest, node)->arg), place);
    case T_ArrayExpr:
      // Arrays of arrays have to be of one size.
      return !castNode(ArrayExpr, node)->multidims &&
             AreHarmless(castNode(ArrayExpr, node)->elements, place);
    case T_OpExpr:
    case T_DistinctExpr: {
      const auto* test = reinterpret_cast<const OpExpr*>(node);
      return IsHarmlessOperator(test->opno, test->inputcollid,
                                static_cast<Node*>(linitial(test->args))) &&
             AreHarmless(test->args, place);
    }
    case T_ScalarArrayOpExpr: {
      const auto* test = castNode(ScalarArrayOpExpr, node);
      return IsHarmlessOperator(test->opno, test->inputcollid,
                                static_cast<Node*>(linitial(test->args))) &&
             AreHarmless(test->args, place);
    }
    case T_FuncExpr:
      return IsHarmlessCall(*castNode(FuncExpr, node)) &&
             AreHarmless(castNode(FuncExpr, node)->args, place);
    default:
      return false;
  }
}

void AddHarmless(Node* quals, const Place& place, List** conditions) {
  ListCell* cell;
  List* conjuncts = make_ands_implicit(reinterpret_cast<Expr*>(quals));
  foreach (cell, conjuncts)
    if (IsHarmless(static_cast<Node*>(lfirst(cell)), place))
      *conditions = lappend(*conditions, CopyOf(static_cast<Node*>(lfirst(cell))));
}

// ----- where they stand -----

// How an entry stands in a part of a join tree.
enum class Stands : uint8_t {
  kNowhere,
  kPlain,     // a row that is lost there is lost above
  kNullable,  // in its place come NULLs, whose conditions are other ones
};

Stands Descend(Node* node, const Place& place, List** conditions);

// The side of a join by which it keeps rows without a partner loses none of these by its condition.
Stands DescendJoin(const JoinExpr& join, const Place& place, List** conditions) {
  const Stands left = Descend(join.larg, place, conditions);
  const Stands stands = left != Stands::kNowhere ? left : Descend(join.rarg, place, conditions);
  if (stands != Stands::kPlain) return stands;
  const bool is_left = left != Stands::kNowhere;
  switch (join.jointype) {
    case JOIN_INNER:
      AddHarmless(join.quals, place, conditions);
      return Stands::kPlain;
    case JOIN_LEFT:
    case JOIN_RIGHT:
      if (is_left == (join.jointype == JOIN_LEFT)) return Stands::kPlain;
      AddHarmless(join.quals, place, conditions);
      return Stands::kNullable;
    default:
      return Stands::kNullable;
  }
}

Stands Descend(Node* node, const Place& place, List** conditions) {
  if (IsA(node, RangeTblRef))
    return castNode(RangeTblRef, node)->rtindex == place.index ? Stands::kPlain : Stands::kNowhere;
  if (IsA(node, JoinExpr)) return DescendJoin(*castNode(JoinExpr, node), place, conditions);
  const auto* from = castNode(FromExpr, node);
  ListCell* cell;
  foreach (cell, from->fromlist) {
    const Stands stands = Descend(static_cast<Node*>(lfirst(cell)), place, conditions);
    if (stands == Stands::kPlain) AddHarmless(from->quals, place, conditions);
    if (stands != Stands::kNowhere) return stands;
  }
  return Stands::kNowhere;
}

// ----- the query -----

// What is computed when it is read is NULL here, as are columns that are gone.
Expr* ColumnOrNull(const FormData_pg_attribute& attribute) {
  if (attribute.attisdropped || !IsStored(attribute.attgenerated))
    return reinterpret_cast<Expr*>(makeNullConst(INT4OID, -1, InvalidOid));
  return reinterpret_cast<Expr*>(makeVar(1, attribute.attnum, attribute.atttypid,
                                         attribute.atttypmod, attribute.attcollation, 0));
}

List* AllColumns(Oid table) {
  Relation relation = table_open(table, AccessShareLock);
  List* targets = NIL;
  for (int i = 0; i < RelationGetDescr(relation)->natts; ++i) {
    const FormData_pg_attribute& attribute = *TupleDescAttr(RelationGetDescr(relation), i);
    targets = lappend(targets, makeTargetEntry(ColumnOrNull(attribute), attribute.attnum,
                                               pstrdup(NameStr(attribute.attname)), false));
  }
  table_close(relation, AccessShareLock);
  return targets;
}

// Past row security, and as the server itself: what is read is for the conditions alone.
Query* VersionsOf(const RangeTblEntry& table, const StaleSet& set) {
  Query* query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->canSetTag = true;
  RangeTblRef* reference = makeNode(RangeTblRef);
  reference->rtindex = 1;
  query->jointree = makeFromExpr(list_make1(reference), nullptr);
  RangeTblEntry* entry = CopyOf(&table);
  entry->securityQuals = NIL;
  query->rtable = list_make1(entry);
  ReadAsServer(query, entry);
  query->targetList = AllColumns(table.relid);
  ListCell* number;
  ListCell* cell;
  int param = 0;
  forboth (number, set.identity, cell, set.columns) {
    SetColumn column = *static_cast<SetColumn*>(lfirst(cell));
    column.param = ++param;
    Restrict(query, list_nth_node(TargetEntry, query->targetList, lfirst_int(number) - 1)->expr,
             column);
  }
  return query;
}

bool HasPlainIdentity(const StaleSet& set) {
  ListCell* cell;
  foreach (cell, set.columns)
    if (!IsPlain(static_cast<SetColumn*>(lfirst(cell))->type)) return false;
  return set.columns != NIL;
}

}  // namespace

const RelevantRows* PlanRelevantRows(const Query* level, int index, const StaleSet& set) {
  const RangeTblEntry& table = *rt_fetch(index, level->rtable);
  if (!HasPlainIdentity(set)) return nullptr;
  List* conditions = NIL;
  const Place place = {index, table.relid};
  (void)Descend(AsNode(level->jointree), place, &conditions);
  ListCell* cell;
  foreach (cell, table.securityQuals)
    AddHarmless(static_cast<Node*>(lfirst(cell)), place, &conditions);
  if (conditions == NIL && set.entry == 0) return nullptr;
  ChangeVarNodes(AsNode(conditions), index, 1, 0);
  RelevantRows* rows = static_cast<RelevantRows*>(palloc(sizeof(RelevantRows)));
  Query* versions = VersionsOf(table, set);
  *rows = {conditions, versions, linitial_node(RangeTblEntry, versions->rtable)};
  return rows;
}

List* RoutesInTable(const DeltaPlan& plan, List* routing_columns, const StaleSet& set) {
  const bool kept = plan.moving != nullptr || plan.boundary != nullptr;
  if (set.entry == 0 || (kept && !LIVE_QUERIES_MUTATION("forget_unwatched_rows"))) return NIL;
  if (IsNullable(AsNode(plan.query->jointree), set.entry, false)) return NIL;
  const Place place = {set.entry, set.table};
  List* numbers = NIL;
  ListCell* cell;
  foreach (cell, routing_columns) {
    const auto* target =
        get_tle_by_resno(plan.query->targetList, static_cast<AttrNumber>(lfirst_int(cell)));
    Node* column = WithoutRelabel(AsNode(target->expr));
    if (!IsA(column, Var) || !IsHarmless(column, place) || !IsPlain(exprType(column))) return NIL;
    numbers = lappend_int(numbers, castNode(Var, column)->varattno);
  }
  return numbers;
}

}  // namespace live_queries
