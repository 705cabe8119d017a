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
#include "optimizer/optimizer.h"
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

const FormData_pg_proc& RowOf(HeapTuple tuple) {
  return *reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
}

// What its arguments are is not known without a call.
bool IsPolymorphic(const FormData_pg_proc& function) {
  for (int i = 0; i < function.pronargs; ++i)
    if (IsPolymorphicType(function.proargtypes.values[i])) return true;
  return false;
}

bool RunsAsCaller(HeapTuple tuple) {
  const FormData_pg_proc& function = RowOf(tuple);
  return function.prolang == SQLlanguageId && !function.prosecdef &&
         heap_attisnull(tuple, Anum_pg_proc_proconfig, nullptr);
}

// nullptr: it is the server's own, which have none of the clock in their bodies, or gone.
HeapTuple FunctionOfUser(Oid function) {
  if (function < FirstNormalObjectId) return nullptr;
  return SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
}

bool OfSameTypes(Node* left, Node* right, int count) {
  for (int i = 0; i < count; ++i)
    if (get_call_expr_argtype(left, i) != get_call_expr_argtype(right, i)) return false;
  return true;
}

// `call` with all arguments in their places.
Node* WithAllArguments(Node* call, HeapTuple function) {
  if (!IsA(call, FuncExpr)) return call;
  FuncExpr* whole = CopyOf(castNode(FuncExpr, call));
  whole->args = expand_function_arguments(whole->args, false, whole->funcresulttype, function);
  return AsNode(whole);
}

struct TypedCallSearch {
  Node* call;
  List** calls;
};

void AddTypedCall(HeapTuple function, TypedCallSearch* search) {
  const FormData_pg_proc& row = RowOf(function);
  if (row.prolang != SQLlanguageId || !IsPolymorphic(row)) return;
  Node* call = WithAllArguments(search->call, function);
  ListCell* cell;
  foreach (cell, *search->calls) {
    const auto& known = *static_cast<TypedCall*>(lfirst(cell));
    if (known.function == row.oid && OfSameTypes(known.call, call, row.pronargs)) return;
  }
  auto* added = static_cast<TypedCall*>(palloc(sizeof(TypedCall)));
  *added = {row.oid, call};
  *search->calls = lappend(*search->calls, added);
}

bool NoteIfTyped(Oid function, void* search) {
  HeapTuple tuple = FunctionOfUser(function);
  if (!HeapTupleIsValid(tuple)) return false;
  AddTypedCall(tuple, static_cast<TypedCallSearch*>(search));
  heap_freetuple(tuple);
  return false;
}

bool NoteTypedCallsIn(Node* node, List** calls) {
  if (node == nullptr) return false;
  TypedCallSearch search = {node, calls};
  (void)check_functions_in_node(node, NoteIfTyped, &search);
  return WalkChildren(node, NoteTypedCallsIn, calls);
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

// What a body calls.
struct BodyCalls {
  List* oids;
  List** typed;
  const char* clock_literal;  // that would be read again whenever the text is, and is of the clock
};

void NoteCalls(Node* body, BodyCalls* calls) {
  NoteFunctionsIn(body, &calls->oids);
  NoteTypedCalls(body, calls->typed);
}

// `call`: of a polymorphic function.
void NoteStatements(HeapTuple tuple, Node* call, BodyCalls* calls) {
  if (const char* body = TextOf(tuple, Anum_pg_proc_prosqlbody)) {
    NoteCalls(static_cast<Node*>(stringToNode(body)), calls);
    return;
  }
  const char* source = TextOf(tuple, Anum_pg_proc_prosrc);
  const SQLFunctionParseInfoPtr info = prepare_sql_fn_parse_info(tuple, call, InvalidOid);
  ListCell* cell;
  foreach (cell, pg_parse_query(source)) {
    RawStmt* statement = lfirst_node(RawStmt, cell);
    if (!IsExpression(*statement)) continue;
    ParseState* state = make_parsestate(nullptr);
    state->p_sourcetext = source;
    sql_fn_parser_setup(state, info);
    Query* query = transformTopLevelStmt(state, CopyOf(statement));
    free_parsestate(state);
    NoteCalls(AsNode(query), calls);
    if (calls->clock_literal == nullptr) calls->clock_literal = ClockLiteral(statement, query);
  }
}

List* ReadBody(HeapTuple tuple, Node* call, List** typed) {
  BodyCalls calls = {NIL, typed, nullptr};
  // What is wrong in it is for those who run it to tell.
  if (RunsAsCaller(tuple))
    InRolledBackSubtransaction([&] { NoteStatements(tuple, call, &calls); }, [](ErrorData*) {});
  RequireNoClockInBody(calls.clock_literal, RowOf(tuple).oid);
  return calls.oids;
}

}  // namespace

void NoteFunctionsIn(Node* node, List** oids) { (void)NoteNode(node, oids); }

void NoteTypedCalls(Node* node, List** calls) { (void)NoteTypedCallsIn(node, calls); }

List* FunctionsInBody(Oid function, List** calls) {
  HeapTuple tuple = FunctionOfUser(function);
  if (!HeapTupleIsValid(tuple)) return NIL;
  List* oids = IsPolymorphic(RowOf(tuple)) ? NIL : ReadBody(tuple, nullptr, calls);
  heap_freetuple(tuple);
  return oids;
}

List* FunctionsInBody(const TypedCall& call, List** calls) {
  HeapTuple tuple = FunctionOfUser(call.function);
  if (!HeapTupleIsValid(tuple)) return NIL;
  List* oids = ReadBody(tuple, call.call, calls);
  heap_freetuple(tuple);
  return oids;
}

}  // namespace live_queries
