// Walks trees, and reads bodies as the planner does when it inlines (inline_function in clauses.c).
// Process: client backend, decoder.
#include "analyze/functions_in.hpp"

#include "analyze/clock.hpp"
#include "analyze/tree.hpp"
#include "pg/subtransaction.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/functions.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parse_node.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

bool NoteFunction(Oid function, void* oids) {
  List** list = static_cast<List**>(oids);
  if (OidIsValid(function)) *list = list_append_unique_oid(*list, function);
  return false;
}

// Rows are compared by the functions of operator classes, not by those of the operators.
void NoteRowComparison(const RowCompareExpr& comparison, List** oids) {
  ListCell* cell;
  foreach (cell, comparison.opfamilies) {
    Oid left;
    Oid right;
    op_input_types(list_nth_oid(comparison.opnos, foreach_current_index(cell)), &left, &right);
    NoteFunction(get_opfamily_proc(lfirst_oid(cell), left, right, BTORDER_PROC), oids);
  }
}

bool NoteNode(Node* node, List** oids) {
  if (node == nullptr) return false;
  (void)check_functions_in_node(node, NoteFunction, oids);
  if (IsA(node, RowCompareExpr)) NoteRowComparison(*castNode(RowCompareExpr, node), oids);
  return WalkChildren(node, NoteNode, oids);
}

// What its arguments are is not known without a call.
bool IsPolymorphic(const FormData_pg_proc& function) {
  for (int i = 0; i < function.pronargs; ++i)
    if (IsPolymorphicType(function.proargtypes.values[i])) return true;
  return false;
}

char* TextOf(HeapTuple tuple, AttrNumber column) {
  bool is_null;
  const Datum value = SysCacheGetAttr(PROCOID, tuple, column, &is_null);
  return is_null ? nullptr : TextDatumGetCString(value);
}

bool HasSublink(Node* node, void* unused) {
  if (node == nullptr) return false;
  if (IsA(node, SubLink)) return true;
  return WalkRawChildren(node, HasSublink, unused);
}

// Whether it reads no table, so that its analysis waits for nobody's locks.
bool IsExpression(const RawStmt& statement) {
  if (!IsA(statement.stmt, SelectStmt)) return false;
  const SelectStmt& select = *castNode(SelectStmt, statement.stmt);
  return select.op == SETOP_NONE && select.fromClause == NIL && select.withClause == nullptr &&
         select.valuesLists == NIL && select.intoClause == nullptr &&
         !HasSublink(statement.stmt, nullptr);
}

// `*clock_literal`: one that would be read again whenever the text is, and is of the clock.
void NoteStatements(HeapTuple tuple, List** oids, const char** clock_literal) {
  if (const char* body = TextOf(tuple, Anum_pg_proc_prosqlbody)) {
    NoteFunctionsIn(static_cast<Node*>(stringToNode(body)), oids);
    return;
  }
  const char* source = TextOf(tuple, Anum_pg_proc_prosrc);
  const SQLFunctionParseInfoPtr info = prepare_sql_fn_parse_info(tuple, nullptr, InvalidOid);
  ListCell* cell;
  foreach (cell, pg_parse_query(source)) {
    RawStmt* statement = lfirst_node(RawStmt, cell);
    if (!IsExpression(*statement)) continue;
    ParseState* state = make_parsestate(nullptr);
    state->p_sourcetext = source;
    sql_fn_parser_setup(state, info);
    Query* query = transformTopLevelStmt(state, CopyOf(statement));
    free_parsestate(state);
    (void)NoteNode(AsNode(query), oids);
    if (*clock_literal == nullptr) *clock_literal = ClockLiteral(statement, query);
  }
}

bool RunsAsCaller(HeapTuple tuple) {
  const Form_pg_proc function = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  return function->prolang == SQLlanguageId && !function->prosecdef && !IsPolymorphic(*function) &&
         heap_attisnull(tuple, Anum_pg_proc_proconfig, nullptr);
}

}  // namespace

void NoteFunctionsIn(Node* node, List** oids) { (void)NoteNode(node, oids); }

List* FunctionsInBody(Oid function) {
  if (function < FirstNormalObjectId) return NIL;
  HeapTuple tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return NIL;
  List* oids = NIL;
  const char* clock_literal = nullptr;
  // What is wrong in it is for those who run it to tell.
  if (RunsAsCaller(tuple))
    InRolledBackSubtransaction([&] { NoteStatements(tuple, &oids, &clock_literal); },
                               [](ErrorData*) {});
  heap_freetuple(tuple);
  RequireNoClockInBody(clock_literal, function);
  return oids;
}

}  // namespace live_queries
