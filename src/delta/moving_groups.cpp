// The tests are those of initialize_peragg in the server's nodeWindowAgg.c; and more, since what is
// kept has to be for good what the aggregate of all rows would be: sums that are not exact, and
// functions of users, of which nobody knows, are evaluated. Process: client backend, evaluator.
#include "delta/moving_groups.hpp"

#include "analyze/equal_values.hpp"
#include "analyze/tree.hpp"
#include "delta/delta_planner.hpp"
#include "delta/value_by_value.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

// Sums of these neither depend on the order nor can be too large on the way.
bool IsExact(Oid type) {
  return type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID ||
         type == BOOLOID;
}

bool HasInverse(Oid aggregate) {
  HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
  if (!HeapTupleIsValid(tuple)) return false;
  const auto* form = reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(tuple));
  const bool has = OidIsValid(form->aggminvtransfn) && form->aggmfinalmodify == AGGMODIFY_READ_ONLY;
  ReleaseSysCache(tuple);
  return has;
}

bool IsPlain(const Aggref& aggregate) {
  Node* node = AsNode(const_cast<Aggref*>(&aggregate));
  return !checkExprHasSubLink(node) && !contain_volatile_functions(node);
}

// Whether it is `min`, `max` or their like, of values that are the same where they are equal.
bool IsExtreme(const Aggref& aggregate) {
  if (list_length(aggregate.args) != 1) return false;
  HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate.aggfnoid));
  if (!HeapTupleIsValid(tuple)) return false;
  const auto* form = reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(tuple));
  const bool is = OidIsValid(form->aggsortop) && !OidIsValid(form->aggminvtransfn) &&
                  !OidIsValid(form->aggfinalfn) && func_strict(form->aggtransfn);
  ReleaseSysCache(tuple);
  return is && HaveOneImage(linitial_node(TargetEntry, aggregate.args)->expr);
}

bool RunsBackwards(const Aggref& aggregate) {
  if (aggregate.aggfnoid >= FirstUnpinnedObjectId || aggregate.aggkind != AGGKIND_NORMAL ||
      aggregate.aggdistinct != NIL || aggregate.aggorder != NIL || aggregate.aggvariadic ||
      aggregate.agglevelsup != 0 || aggregate.aggsplit != AGGSPLIT_SIMPLE)
    return false;
  if (IsExtreme(aggregate)) return IsPlain(aggregate);
  ListCell* cell;
  foreach (cell, aggregate.aggargtypes)
    if (aggregate.aggfnoid != F_COUNT_ANY && !IsExact(lfirst_oid(cell))) return false;
  return HasInverse(aggregate.aggfnoid) && IsPlain(aggregate);
}

// ----- from a row of groups and aggregates -----

struct OfGroupRow {
  List* groups;
  List* aggregates;  // Aggref*
  bool failed;       // it needs something else
};

Node* ColumnOfGroupRow(int number, const Node* value) {
  return AsNode(makeVar(kGroupRow, static_cast<AttrNumber>(number), exprType(value),
                        exprTypmod(value), exprCollation(value), 0));
}

Node* TakeAggregate(Aggref* aggregate, OfGroupRow* row) {
  if (!RunsBackwards(*aggregate)) {
    row->failed = true;
    return AsNode(aggregate);
  }
  row->aggregates = list_append_unique(row->aggregates, aggregate);
  int number = list_length(row->groups);
  ListCell* cell;
  foreach (cell, row->aggregates) {
    ++number;
    if (equal(lfirst(cell), aggregate)) break;
  }
  return ColumnOfGroupRow(number, AsNode(aggregate));
}

Node* FromGroupRow(Node* node, OfGroupRow* row) {
  if (node == nullptr || row->failed) return node;
  if (IsA(node, Aggref)) return TakeAggregate(castNode(Aggref, node), row);
  ListCell* cell;
  foreach (cell, row->groups)
    if (!IsStructure(node) && equal(node, lfirst(cell)))
      return ColumnOfGroupRow(foreach_current_index(cell) + 1, node);
  switch (nodeTag(node)) {
    case T_Var:
    case T_Param:
    case T_GroupingFunc:
    case T_WindowFunc:
    case T_SubLink:
    case T_Query:
      row->failed = true;
      return node;
    default:
      return RewriteChildren(node, FromGroupRow, row);
  }
}

// ----- what aggregates take -----

// Evaluated for the rows alone that count.
Expr* WhereCounted(const Expr* value, const Expr* filter) {
  if (filter == nullptr) return CopyOf(value);
  const Node* node = reinterpret_cast<const Node*>(value);
  CaseWhen* when = makeNode(CaseWhen);
  when->expr = CopyOf(filter);
  when->result = CopyOf(value);
  when->location = -1;
  CaseExpr* choice = makeNode(CaseExpr);
  choice->casetype = exprType(node);
  choice->casecollid = exprCollation(node);
  choice->args = list_make1(when);
  choice->defresult =
      reinterpret_cast<Expr*>(makeNullConst(exprType(node), exprTypmod(node), exprCollation(node)));
  choice->location = -1;
  return reinterpret_cast<Expr*>(choice);
}

MovingInput* TakeInput(const Aggref* aggregate, List** columns) {
  MovingInput* input = static_cast<MovingInput*>(palloc0(sizeof(MovingInput)));
  input->aggregate = aggregate;
  input->extreme = IsExtreme(*aggregate);
  if (aggregate->aggfilter != nullptr) {
    *columns = lappend(*columns, CopyOf(aggregate->aggfilter));
    input->filter = static_cast<AttrNumber>(list_length(*columns));
  }
  input->first = static_cast<AttrNumber>(list_length(*columns) + 1);
  ListCell* cell;
  foreach (cell, aggregate->args)
    *columns =
        lappend(*columns, WhereCounted(lfirst_node(TargetEntry, cell)->expr, aggregate->aggfilter));
  return input;
}

// The rows that are grouped, of any part that may have changed.
List* InputsOf(const Planner& planner, const Query* query, List* columns) {
  List* inputs = NIL;
  ListCell* cell;
  foreach (cell, planner.grouped) {
    const Part& part = *static_cast<Part*>(lfirst(cell));
    Query* rows = Selecting(query, Step::kGroup, columns);
    ListCell* earlier;
    foreach (earlier, planner.grouped) {
      if (lfirst(earlier) == lfirst(cell)) break;
      LeaveOutPart(rows, planner, *static_cast<Part*>(lfirst(earlier)));
    }
    RestrictTo(rows, planner, part);
    inputs = lappend(inputs, MakeRestricted(part.set, rows));
  }
  return inputs;
}

bool OnlyGroups(const Query& query) {
  return query.commandType == CMD_SELECT && query.setOperations == nullptr && Groups(query) &&
         query.groupingSets == NIL && !query.hasWindowFuncs && !query.hasTargetSRFs &&
         query.distinctClause == NIL && query.limitCount == nullptr && query.limitOffset == nullptr;
}

bool AreTheirOwn(List* groups) {
  ListCell* cell;
  foreach (cell, groups)
    if (!HaveOneImage(static_cast<Expr*>(lfirst(cell)))) return false;
  return true;
}

// Of one group, the server finds them by an index.
bool AreExtremes(List* aggregates) {
  ListCell* cell;
  foreach (cell, aggregates)
    if (!IsExtreme(*lfirst_node(Aggref, cell))) return false;
  return aggregates != NIL;
}

}  // namespace

const MovingGroups* PlanMovingGroups(const Planner& planner, const Level& level) {
  const Query* query = level.query;
  if (list_length(level.parts) != 1 || planner.grouped == NIL) return nullptr;
  List* groups = NIL;
  const bool by_value = IsValueByValue(*query);
  if (by_value) query = OfAllValues(*query, &groups);
  if (!OnlyGroups(*query)) return nullptr;
  Part part = *static_cast<Part*>(linitial(level.parts));
  if (by_value) {
    part.expressions = groups;
  } else {
    part = InExpressions(part, *query);
    groups = get_sortgrouplist_exprs(query->groupClause, query->targetList);
    if (!equal(part.expressions, groups)) return nullptr;
  }
  if (!AreTheirOwn(groups)) return nullptr;
  const bool one_group = by_value || groups == NIL;
  OfGroupRow row = {groups, NIL, false};
  List* result = NIL;
  ListCell* cell;
  foreach (cell, query->targetList) {
    const auto* target = lfirst_node(TargetEntry, cell);
    if (target->resjunk) continue;
    TargetEntry* of_row = flatCopyTargetEntry(const_cast<TargetEntry*>(target));
    of_row->expr = reinterpret_cast<Expr*>(FromGroupRow(AsNode(CopyOf(target->expr)), &row));
    result = lappend(result, of_row);
  }
  Node* having = FromGroupRow(CopyOf(query->havingQual), &row);
  if (row.failed || (one_group && AreExtremes(row.aggregates))) return nullptr;
  MovingGroups* moving = static_cast<MovingGroups*>(palloc0(sizeof(MovingGroups)));
  moving->set = part.set;
  moving->groups = CopyOf(groups);
  moving->without_rows = one_group;
  moving->result = result;
  moving->having = having;
  List* columns = list_copy(groups);
  foreach (cell, row.aggregates)
    moving->aggregates =
        lappend(moving->aggregates, TakeInput(CopyOf(lfirst_node(Aggref, cell)), &columns));
  // It is computed for rows of values that nobody asks for, too: no error is to come of these.
  if (by_value && contain_leaked_vars(AsNode(columns))) return nullptr;
  moving->inputs = InputsOf(planner, query, columns);
  moving->members = Selecting(query, Step::kGroup, columns);
  RestrictTo(moving->members, planner, part);
  return moving;
}

}  // namespace live_queries
