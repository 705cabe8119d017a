// Known by what it reads first: no array is left as a parameter in an analysed query of a user.
// Process: client backend, evaluator.
#include "delta/value_by_value.hpp"

#include "analyze/clock.hpp"
#include "analyze/tree.hpp"
#include "delta/restriction.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

constexpr int kValues = 1;  // the entries of its range table
constexpr int kLevel = 2;

const Param& ParamOf(const OpExpr& condition) { return *castNode(Param, lsecond(condition.args)); }

Var* ValueOf(const OpExpr& condition, int number, Index levels_up) {
  const Param& param = ParamOf(condition);
  return makeVar(kValues, static_cast<AttrNumber>(number), param.paramtype, -1, param.paramcollid,
                 levels_up);
}

RangeTblFunction* Unnest(const Param& param) {
  FuncExpr* call = makeFuncExpr(
      F_UNNEST_ANYARRAY, param.paramtype,
      list_make1(MakeParam(kClockParam + param.paramid, get_array_type(param.paramtype))),
      param.paramcollid, param.paramcollid, COERCE_EXPLICIT_CALL);
  call->funcretset = true;
  RangeTblFunction* function = makeNode(RangeTblFunction);
  function->funcexpr = AsNode(call);
  function->funccolcount = 1;
  return function;
}

RangeTblEntry* Values(List* conditions, List* names) {
  RangeTblEntry* entry = makeNode(RangeTblEntry);
  entry->rtekind = RTE_FUNCTION;
  entry->inFromCl = true;
  entry->eref = makeAlias("watched", CopyOf(names));
  entry->alias = makeAlias("watched", CopyOf(names));
  ListCell* cell;
  foreach (cell, conditions)
    entry->functions = lappend(entry->functions, Unnest(ParamOf(*lfirst_node(OpExpr, cell))));
  return entry;
}

RangeTblEntry* Lateral(Query* level) {
  RangeTblEntry* entry = makeNode(RangeTblEntry);
  entry->rtekind = RTE_SUBQUERY;
  entry->subquery = level;
  entry->lateral = true;
  entry->inFromCl = true;
  List* names = NIL;
  ListCell* cell;
  foreach (cell, level->targetList) {
    const auto* target = lfirst_node(TargetEntry, cell);
    const char* name = target->resname == nullptr ? "?column?" : target->resname;
    if (!target->resjunk) names = lappend(names, makeString(pstrdup(name)));
  }
  entry->eref = makeAlias("of_value", names);
  return entry;
}

// Adds what all has to hold, of ANDs within ANDs too.
void Flatten(Node* quals, List** conjuncts) {
  ListCell* cell;
  List* these = make_ands_implicit(reinterpret_cast<Expr*>(quals));
  foreach (cell, these) {
    Node* conjunct = static_cast<Node*>(lfirst(cell));
    if (is_andclause(conjunct))
      Flatten(conjunct, conjuncts);
    else
      *conjuncts = lappend(*conjuncts, conjunct);
  }
}

RangeTblRef* Reference(int index) {
  RangeTblRef* reference = makeNode(RangeTblRef);
  reference->rtindex = index;
  return reference;
}

}  // namespace

Query* ValueByValue(Query* query, List* conditions, List* names) {
  Query* top = makeNode(Query);
  top->commandType = CMD_SELECT;
  top->canSetTag = true;
  ListCell* cell;
  foreach (cell, query->targetList) {
    const auto* target = lfirst_node(TargetEntry, cell);
    if (target->resjunk) continue;
    Var* column = makeVarFromTargetEntry(kLevel, const_cast<TargetEntry*>(target));
    TargetEntry* shown = flatCopyTargetEntry(const_cast<TargetEntry*>(target));
    shown->expr = reinterpret_cast<Expr*>(column);
    top->targetList = lappend(top->targetList, shown);
  }
  ListCell* name;
  List* quals = make_ands_implicit(reinterpret_cast<Expr*>(query->jointree->quals));
  forboth (cell, conditions, name, names) {
    const auto& condition = *lfirst_node(OpExpr, cell);
    // In FROM, a function of composite values gives the columns of these.
    const Oid type = ParamOf(condition).paramtype;
    if (!OidIsValid(get_array_type(type)) || type_is_rowtype(type)) return nullptr;
    const int number = foreach_current_index(cell) + 1;
    OpExpr* test = CopyOf(&condition);
    lsecond(test->args) = ValueOf(condition, number, 1);
    quals = lappend(quals, test);
    top->targetList = lappend(
        top->targetList, makeTargetEntry(reinterpret_cast<Expr*>(ValueOf(condition, number, 0)),
                                         static_cast<AttrNumber>(list_length(top->targetList) + 1),
                                         pstrdup(strVal(lfirst(name))), false));
  }
  query->jointree->quals = AsNode(make_ands_explicit(quals));
  top->rtable = list_make2(Values(conditions, names), Lateral(query));
  top->jointree = makeFromExpr(list_make2(Reference(kValues), Reference(kLevel)), nullptr);
  return top;
}

bool IsValueByValue(const Query& query) {
  if (list_length(query.rtable) != kLevel) return false;
  const RangeTblEntry& values = *rt_fetch(kValues, query.rtable);
  if (values.rtekind != RTE_FUNCTION) return false;
  const auto* function = linitial_node(RangeTblFunction, values.functions);
  if (!IsA(function->funcexpr, FuncExpr)) return false;
  const auto* call = castNode(FuncExpr, function->funcexpr);
  return call->funcid == F_UNNEST_ANYARRAY && IsA(linitial(call->args), Param) &&
         linitial_node(Param, call->args)->paramkind == PARAM_EXTERN;
}

const Query& LevelOfValue(const Query& query) {
  return IsValueByValue(query) ? *rt_fetch(kLevel, query.rtable)->subquery : query;
}

List* TakeOutValues(Query* level) {
  List* tests = NIL;
  List* others = NIL;
  ListCell* cell;
  List* conjuncts = NIL;
  Flatten(level->jointree->quals, &conjuncts);
  foreach (cell, conjuncts) {
    Node* conjunct = static_cast<Node*>(lfirst(cell));
    List** list = contain_vars_of_level(conjunct, 1) ? &tests : &others;
    *list = lappend(*list, conjunct);
  }
  level->jointree->quals = others == NIL ? nullptr : AsNode(make_ands_explicit(others));
  return tests;
}

Query* OfAllValues(const Query& query, List** columns) {
  Query* level = CopyOf(&LevelOfValue(query));
  ListCell* cell;
  List* tests = TakeOutValues(level);
  foreach (cell, tests) *columns = lappend(*columns, linitial(lfirst_node(OpExpr, cell)->args));
  List* targets = NIL;
  foreach (cell, query.targetList) {
    const auto* target = lfirst_node(TargetEntry, cell);
    const auto* column = castNode(Var, target->expr);
    TargetEntry* computed = flatCopyTargetEntry(const_cast<TargetEntry*>(target));
    computed->expr = column->varno == kLevel
                         ? get_tle_by_resno(level->targetList, column->varattno)->expr
                         : static_cast<Expr*>(list_nth(*columns, column->varattno - 1));
    targets = lappend(targets, computed);
  }
  level->targetList = targets;
  return level;
}

List* SourcesOfValues(const Query& query) {
  List* sources = NIL;
  ListCell* cell;
  foreach (cell, rt_fetch(kValues, query.rtable)->functions)
    sources = lappend(sources, lfirst_node(RangeTblFunction, cell)->funcexpr);
  return sources;
}

}  // namespace live_queries
