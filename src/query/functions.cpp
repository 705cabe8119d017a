// Volatility, and the values that are fixed at subscribe time. Process: client backend,
// decoder.
#include "query/functions.hpp"

#include "pg/compat.hpp"
#include "query/clock.hpp"
#include "query/spec.hpp"
#include "query/tree.hpp"
#include "query/unsupported.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

Node* AsNode(List* list) { return reinterpret_cast<Node*>(list); }

// The built-in functions that are stable because they read catalogs, tables, settings by name, or
// the transaction counter. What is stable for another reason depends on settings that are captured.
bool IsReaderByName(std::string_view name) {
  for (std::string_view prefix :
       {"_pg_", "aclitem", "col_", "current_", "database_to_xml", "format_type", "has_", "mxid_age",
        "obj_", "oidvectortypes", "pg_", "reg", "row_security", "schema_to_xml", "shobj_",
        "table_to_xml", "to_reg"})
    if (name.starts_with(prefix)) return true;
  return false;
}

// Whether a function reads tables or catalogs as far as its declaration tells: one that is stable
// because of a setting (TimeZone, DateStyle...) is built in, and its settings are captured.
bool ReadsMoreThanItsRow(Oid function, void* culprit) {
  if (func_volatile(function) != PROVOLATILE_STABLE) return false;
  char* name = get_func_name(function);
  if (function < FirstNormalObjectId && name != nullptr && !IsReaderByName(name)) return false;
  *static_cast<char**>(culprit) = name;
  return true;
}

bool FindReader(Node* node, char** culprit) {
  if (node == nullptr) return false;
  if (check_functions_in_node(node, ReadsMoreThanItsRow, culprit)) return true;
  return WalkChildren(node, FindReader, culprit);
}

bool NeedsItsSurroundings(Node* node, void* unused) {
  if (node == nullptr) return false;
  if (IsA(node, Var) || IsA(node, CaseTestExpr) || IsA(node, CoerceToDomainValue)) return true;
  return WalkChildren(node, NeedsItsSurroundings, unused);
}

bool IsCurrentUser(Node* node) {
  if (!IsA(node, SQLValueFunction)) return false;
  const SQLValueFunctionOp op = castNode(SQLValueFunction, node)->op;
  return op == SVFOP_CURRENT_USER || op == SVFOP_CURRENT_ROLE || op == SVFOP_USER;
}

Const* FindFrozen(const FrozenValues& frozen, const char* text) {
  ListCell* cell;
  foreach (cell, frozen.values) {
    List* pair = static_cast<List*>(lfirst(cell));
    if (strcmp(strVal(linitial(pair)), text) == 0) return castNode(Const, lsecond(pair));
  }
  return nullptr;
}

Node* FreezeNode(Node* node, FrozenValues* frozen) {
  if (node == nullptr) return nullptr;
  if (IsA(node, List) || IsA(node, TargetEntry) || IsA(node, CaseWhen) || IsA(node, Const) ||
      NeedsItsSurroundings(node, nullptr) || !contain_mutable_functions(node))
    return RewriteChildren(node, FreezeNode, frozen);
  char* text = TreeToText(node);
  if (Const* known = FindFrozen(*frozen, text)) return static_cast<Node*>(copyObjectImpl(known));
  if (frozen->known_only && !IsCurrentUser(node))
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("a view or a row security policy of the live query has changed and calls a "
                   "function that only its client can evaluate"),
            errhint("Subscribe again."));
  RequireNoClockInside(node);
  PlannerInfo* root = makeNode(PlannerInfo);
  root->glob = makeNode(PlannerGlobal);
  Node* value = estimate_expression_value(root, node);
  if (!IsA(value, Const))
    RaiseUnsupported("an expression without columns could not be evaluated to a constant");
  frozen->values = lappend(frozen->values, list_make2(makeString(text), value));
  return static_cast<Node*>(copyObjectImpl(value));
}

Node* BindNode(Node* node, List* values) {
  if (node == nullptr) return nullptr;
  if (IsA(node, Param)) {
    const Param* param = castNode(Param, node);
    if (param->paramkind != PARAM_EXTERN || param->paramid > list_length(values))
      RaiseUnsupported("it contains an unexpected parameter");
    return static_cast<Node*>(copyObjectImpl(list_nth(values, param->paramid - 1)));
  }
  return RewriteChildren(node, BindNode, values);
}

bool NoteHash(Oid function, void* context) {
  if (function < FirstNormalObjectId) return false;
  List** hashes = static_cast<List**>(context);
  const uint32 hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(function));
  *hashes = lappend_int(*hashes, static_cast<int>(hash));
  return false;
}

bool CollectHashes(Node* node, List** hashes) {
  if (node == nullptr) return false;
  check_functions_in_node(node, NoteHash, hashes);
  return WalkChildren(node, CollectHashes, hashes);
}

}  // namespace

void RequireNoVolatile(List* expressions) {
  if (contain_volatile_functions(AsNode(expressions)))
    RaiseUnsupported("it calls a volatile function");
}

void RequireRowFunctions(List* expressions) {
  char* culprit = nullptr;
  if (!FindReader(AsNode(expressions), &culprit)) return;
  RaiseUnsupported(
      psprintf("function %s takes a column and is only STABLE, so it may read more "
               "than the row",
               culprit == nullptr ? "(unknown)" : culprit));
}

List* Freeze(List* expressions, FrozenValues* frozen) {
  if (expressions == NIL) return NIL;
  return castNode(List, FreezeNode(AsNode(expressions), frozen));
}

List* BindParams(List* expressions, List* values) {
  if (expressions == NIL) return NIL;
  return castNode(List, BindNode(AsNode(expressions), values));
}

List* UserFunctions(List* expressions) {
  List* hashes = NIL;
  CollectHashes(AsNode(expressions), &hashes);
  return hashes;
}

List* Simplify(List* expressions, List** called) {
  if (expressions == NIL) return NIL;
  // With a root, the server tells which functions it has inlined.
  PlannerInfo* root = makeNode(PlannerInfo);
  root->glob = makeNode(PlannerGlobal);
  Node* simplified = eval_const_expressions(root, AsNode(expressions));
  fix_opfuncids(simplified);
  ListCell* cell;
  foreach (cell, root->glob->invalItems)
    *called = lappend_int(*called, static_cast<int>(lfirst_node(PlanInvalItem, cell)->hashValue));
  return castNode(List, simplified);
}

}  // namespace live_queries
