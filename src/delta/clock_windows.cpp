// A walk over all levels of a query. Process: client backend, evaluator.
#include "delta/clock_windows.hpp"

#include "analyze/clock.hpp"
#include "analyze/standalone.hpp"
#include "analyze/table_facts.hpp"
#include "analyze/tree.hpp"
#include "delta/restriction.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

constexpr const char* kElsewhere =
    "more is done with it than to compare it with columns of tables, of the same type";
constexpr const char* kNoKey = "a table with a column that is compared with the time has no key";

struct Search {
  List* levels;  // Query*, the innermost first
  ClockWindows* windows;
  int* params;
};

// A column of a table, as it stands in the range table of a level.
struct TableColumn {
  Query* level;
  RangeTblEntry* table;  // nullptr: it is none
  const Var* var;
};

TableColumn TableColumnOf(const Search& search, Node* node) {
  node = WithoutRelabel(node);
  if (!IsA(node, Var)) return {};
  const Var* var = castNode(Var, node);
  auto* level = static_cast<Query*>(list_nth(search.levels, static_cast<int>(var->varlevelsup)));
  RangeTblEntry* entry = rt_fetch(var->varno, level->rtable);
  while (entry->rtekind == RTE_JOIN && var->varattno > 0) {
    Node* stands_for = static_cast<Node*>(list_nth(entry->joinaliasvars, var->varattno - 1));
    if (stands_for == nullptr || !IsA(stands_for, Var)) return {};
    var = castNode(Var, stands_for);
    entry = rt_fetch(var->varno, level->rtable);
  }
  const bool has_rows =
      entry->rtekind == RTE_RELATION &&
      (entry->relkind == RELKIND_RELATION || entry->relkind == RELKIND_PARTITIONED_TABLE);
  if (!has_rows || var->varattno <= 0) return {};
  // What is computed when it is read could raise an error of a row that nobody may see.
  const char generated = get_attgenerated(entry->relid, var->varattno);
  if (generated != '\0' && generated != ATTRIBUTE_GENERATED_STORED) return {};
  return {level, entry, var};
}

// Whether `node` is computed of the time and nothing else.
bool IsOfClock(Node* node) { return AsksClock(node) && !NeedsSurroundings(SetClock(node, 0)); }

// Which of `< <= = >= >` of the values of one type `operation` is, as a strategy; = for `<>`.
// InvalidStrategy: none of them, or not of such values.
int StrategyOf(Oid operation, Oid type) {
  if (type != TIMESTAMPTZOID && type != TIMESTAMPOID && type != DATEOID) return InvalidStrategy;
  Oid left;
  Oid right;
  op_input_types(operation, &left, &right);
  if (left != type || right != type) return InvalidStrategy;
  const Oid family = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
  const int strategy = get_op_opfamily_strategy(operation, family);
  if (strategy != InvalidStrategy) return strategy;
  const Oid negator = get_negator(operation);
  const bool differs =
      OidIsValid(negator) && get_op_opfamily_strategy(negator, family) == BTEqualStrategyNumber;
  return differs ? BTEqualStrategyNumber : InvalidStrategy;
}

// ----- queries -----

Expr* ColumnAs(const Var& column, Oid type) {
  Var* var = makeVar(1, column.varattno, column.vartype, column.vartypmod, column.varcollid, 0);
  if (column.vartype == type) return reinterpret_cast<Expr*>(var);
  return reinterpret_cast<Expr*>(
      makeRelabelType(reinterpret_cast<Expr*>(var), type, -1, InvalidOid, COERCE_IMPLICIT_CAST));
}

Expr* Compared(const Var& column, const ClockWindow& window, int16 strategy, int param) {
  const Oid family = lookup_type_cache(window.type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
  const Oid operation = get_opfamily_member(family, window.type, window.type, strategy);
  return make_opclause(operation, BOOLOID, false, ColumnAs(column, window.type),
                       MakeParam(param, window.type), InvalidOid, InvalidOid);
}

// Whether the column has one of the two values.
Expr* IsAtOne(const Var& column, const ClockWindow& window) {
  ArrayExpr* both = makeNode(ArrayExpr);
  both->array_typeid = get_array_type(window.type);
  both->element_typeid = window.type;
  both->elements =
      list_make2(MakeParam(window.low, window.type), MakeParam(window.high, window.type));
  both->location = -1;
  ScalarArrayOpExpr* test = makeNode(ScalarArrayOpExpr);
  test->opno = lookup_type_cache(window.type, TYPECACHE_EQ_OPR)->eq_opr;
  test->opfuncid = get_opcode(test->opno);
  test->useOr = true;
  test->args = list_make2(ColumnAs(column, window.type), both);
  test->location = -1;
  return reinterpret_cast<Expr*>(test);
}

Query* MakeSelect(List* targets, FromExpr* from) {
  Query* query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->canSetTag = true;
  query->targetList = targets;
  query->jointree = from;
  return query;
}

// With the rights by which the query reads the table, but past its row security: what is found goes
// into stale sets alone, or says when to look for it, and a column as it is tells nobody of it, nor
// can it raise an error.
Query* OfTable(const TableColumn& column, List* targets, Node* condition) {
  RangeTblRef* reference = makeNode(RangeTblRef);
  reference->rtindex = 1;
  Query* query = MakeSelect(targets, makeFromExpr(list_make1(reference), condition));
  RangeTblEntry* entry = CopyOf(column.table);
  entry->securityQuals = NIL;
  entry->inFromCl = true;
  TakeOverAccess(query, entry, column.level);
  query->rtable = list_make1(entry);
  return CopyOf(query);
}

Query* RowsOf(const TableColumn& column, List* identity, const ClockWindow& window) {
  List* targets = NIL;
  ListCell* cell;
  foreach (cell, identity) {
    const auto number = static_cast<AttrNumber>(lfirst_int(cell));
    Oid type;
    int32 typmod;
    Oid collation;
    get_atttypetypmodcoll(column.table->relid, number, &type, &typmod, &collation);
    Var* var = makeVar(1, number, type, typmod, collation, 0);
    targets =
        lappend(targets, makeTargetEntry(reinterpret_cast<Expr*>(var),
                                         static_cast<AttrNumber>(foreach_current_index(cell) + 1),
                                         get_attname(column.table->relid, number, false), false));
  }
  Node* condition =
      window.equal ? AsNode(IsAtOne(*column.var, window))
                   : AsNode(make_ands_explicit(list_make2(
                         Compared(*column.var, window, BTGreaterEqualStrategyNumber, window.low),
                         Compared(*column.var, window, BTLessEqualStrategyNumber, window.high))));
  return OfTable(column, targets, condition);
}

Query* NextOf(const TableColumn& column, const ClockWindow& window) {
  TargetEntry* target =
      makeTargetEntry(ColumnAs(*column.var, window.type), 1, pstrdup("?next"), false);
  target->ressortgroupref = 1;
  Expr* condition = Compared(*column.var, window, BTGreaterEqualStrategyNumber, window.low);
  Query* query = OfTable(column, list_make1(target), AsNode(condition));
  const TypeCacheEntry* type = lookup_type_cache(window.type, TYPECACHE_LT_OPR | TYPECACHE_EQ_OPR);
  SortGroupClause* order = makeNode(SortGroupClause);
  order->tleSortGroupRef = 1;
  order->eqop = type->eq_opr;
  order->sortop = type->lt_opr;
  order->hashable = true;
  query->sortClause = list_make1(order);
  query->limitCount = AsNode(
      makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(1), false, FLOAT8PASSBYVAL));
  query->limitOption = LIMIT_OPTION_COUNT;
  return query;
}

Query* Bounds(List* windows) {
  List* targets = NIL;
  ListCell* cell;
  foreach (cell, windows) {
    const auto number = static_cast<AttrNumber>(foreach_current_index(cell) + 1);
    targets =
        lappend(targets, makeTargetEntry(static_cast<ClockWindow*>(lfirst(cell))->bound, number,
                                         psprintf("?bound %d", static_cast<int>(number)), false));
  }
  return MakeSelect(targets, makeFromExpr(NIL, nullptr));
}

// Partitions and children may have their columns in another order.
AttrNumber AttributeIn(Oid relation, const ClockWindow& window) {
  if (relation == window.table) return window.column;
  return get_attnum(relation, get_attname(window.table, window.column, false));
}

// ----- the walk -----

bool IsKnown(const ClockWindow& window, List* windows) {
  ListCell* cell;
  foreach (cell, windows) {
    const auto& other = *static_cast<ClockWindow*>(lfirst(cell));
    if (other.table == window.table && other.column == window.column &&
        other.equal == window.equal && equal(other.bound, window.bound))
      return true;
  }
  return false;
}

void AddWindow(const TableColumn& column, ClockWindow window, Search* search) {
  if (IsKnown(window, search->windows->all)) return;
  const TableFacts facts = LookAtTable(*column.table);
  if (facts.key == NIL) {
    search->windows->why_none = kNoKey;
    return;
  }
  window.low = ++*search->params;
  window.high = ++*search->params;
  window.relations = facts.relations;
  window.rows = RowsOf(column, facts.key, window);
  window.next = NextOf(column, window);
  auto* kept = static_cast<ClockWindow*>(palloc(sizeof(ClockWindow)));
  *kept = window;
  search->windows->all = lappend(search->windows->all, kept);
}

// Whether `test` is such a comparison.
bool TakeComparison(const OpExpr& test, Search* search) {
  if (list_length(test.args) != 2) return false;
  Node* left = static_cast<Node*>(linitial(test.args));
  Node* right = static_cast<Node*>(lsecond(test.args));
  const bool turned = IsOfClock(left);
  Node* bound = turned ? left : right;
  if (!turned && !IsOfClock(right)) return false;
  const Oid type = exprType(bound);
  const int strategy = StrategyOf(test.opno, type);
  const TableColumn column = TableColumnOf(*search, turned ? right : left);
  if (strategy == InvalidStrategy || column.table == nullptr) return false;
  ClockWindow window = {};
  window.table = column.table->relid;
  window.column = column.var->varattno;
  window.type = type;
  window.equal = strategy == BTEqualStrategyNumber;
  window.bound = reinterpret_cast<Expr*>(CopyOf(bound));
  window.course = CourseOf(bound);
  AddWindow(column, window, search);
  return true;
}

bool Find(Node* node, Search* search) {
  if (node == nullptr) return false;
  if (IsClockParam(node)) {
    search->windows->why_none = kElsewhere;
    return true;
  }
  if (IsA(node, OpExpr) && TakeComparison(*castNode(OpExpr, node), search))
    return search->windows->why_none != nullptr;
  if (!IsA(node, Query)) return WalkChildren(node, Find, search);
  List* outer = search->levels;
  search->levels = lcons(node, list_copy(outer));
  const bool stopped = WalkChildren(node, Find, search);
  search->levels = outer;
  return stopped;
}

}  // namespace

ClockWindows FindClockWindows(Query* query, int* params) {
  ClockWindows windows = {};
  Search search = {NIL, &windows, params};
  (void)Find(AsNode(query), &search);
  if (windows.why_none == nullptr) windows.bounds = Bounds(windows.all);
  return windows;
}

const char* WhyNoAlarm(const ClockWindows& windows) {
  ListCell* cell;
  foreach (cell, windows.all) {
    const auto& window = *static_cast<ClockWindow*>(lfirst(cell));
    if (window.course == ClockCourse::kUnknown)
      return "what a column is compared with does not go with the time in a known way";
    ListCell* relation;
    foreach (relation, window.relations)
      if (IndexOn(lfirst_oid(relation), AttributeIn(lfirst_oid(relation), window)) == nullptr)
        return "no index finds the next row";
  }
  return nullptr;
}

void SettleClockWindows(List* sets, ClockWindows* windows) {
  ListCell* cell;
  foreach (cell, windows->why_none == nullptr ? windows->all : NIL) {
    auto* window = static_cast<ClockWindow*>(lfirst(cell));
    ListCell* set_cell;
    foreach (set_cell, sets) {
      const auto* set = static_cast<StaleSet*>(lfirst(set_cell));
      if (set->table != window->table) continue;
      if (window->set == nullptr) window->set = set;
      if (!equal(set->identity, window->set->identity) ||
          list_length(set->columns) != list_length(window->rows->targetList))
        windows->why_none = kNoKey;
    }
    if (window->set == nullptr) windows->why_none = kElsewhere;
  }
}

}  // namespace live_queries
