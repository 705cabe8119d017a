// Finds the largest parts of a query that have no column and are not IMMUTABLE, and puts their
// values in their place: evaluated now, or those of the time of subscribing. Process: client
// backend, decoder.
#include "analyze/frozen_values.hpp"

#include "analyze/clock.hpp"
#include "analyze/functions.hpp"
#include "analyze/standalone.hpp"
#include "analyze/tree.hpp"
#include "analyze/unsupported.hpp"
#include "analyze/value_sources.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// The (String, Const) pair of that text.
List* Find(List* values, const char* text) {
  ListCell* cell;
  foreach (cell, values) {
    List* pair = static_cast<List*>(lfirst(cell));
    if (strcmp(strVal(linitial(pair)), text) == 0) return pair;
  }
  return NIL;
}

int HashOf(const char* text) {
  return static_cast<int>(
      hash_bytes(reinterpret_cast<const unsigned char*>(text), static_cast<int>(strlen(text))));
}

Node* CopyOf(const void* value) { return static_cast<Node*>(copyObjectImpl(value)); }

bool IsReadableSetting(Node* name) {
  if (!IsA(name, Const) || castNode(Const, name)->constisnull) return false;
  const char* setting = text_to_cstring(DatumGetTextPP(castNode(Const, name)->constvalue));
  return GetConfigOption(setting, true, false) != nullptr &&
         (GetConfigOptionFlags(setting, true) & GUC_SUPERUSER_ONLY) == 0;
}

// Whether evaluating `call`, of the session, may raise an error: only if it is reached, then.
bool MayRaise(Node* call) {
  return IsA(call, FuncExpr) && castNode(FuncExpr, call)->funcid == F_CURRENT_SETTING_TEXT &&
         !IsReadableSetting(static_cast<Node*>(linitial(castNode(FuncExpr, call)->args)));
}

// A function of the session whose arguments are constant.
bool IsSessionCall(Node* node) {
  if (!IsA(node, FuncExpr)) return false;
  const FuncExpr* call = castNode(FuncExpr, node);
  return !contain_mutable_functions(reinterpret_cast<Node*>(call->args)) &&
         SourceOf(node) == ValueSource::kSession;
}

// The value that `expression`, of the session, had when it was first evaluated. One that must not
// be evaluated out of its place has none, and stays.
Node* Keep(Node* expression, bool in_its_place, FrozenValues* frozen) {
  char* text = TreeToText(expression);
  if (List* known = Find(frozen->session, text); known != NIL)
    return lsecond(known) == nullptr ? expression : CopyOf(lsecond(known));
  if (frozen->kept_only) {
    frozen->unknown = true;
    return reinterpret_cast<Node*>(
        makeNullConst(exprType(expression), exprTypmod(expression), exprCollation(expression)));
  }
  Const* value = in_its_place || !MayRaise(expression) ? EvaluateAlone(expression) : nullptr;
  frozen->session = lappend(frozen->session, list_make2(makeString(text), value));
  return value == nullptr ? expression : CopyOf(value);
}

// So that what else `node` reads can be evaluated where the session is not.
Node* KeepSessionCalls(Node* node, FrozenValues* frozen) {
  if (node == nullptr) return nullptr;
  node = RewriteChildren(node, KeepSessionCalls, frozen);
  return IsSessionCall(node) ? Keep(node, false, frozen) : node;
}

// Whether the server's function reads something of the process that nobody keeps, such as the
// statistics that it has seen: it could not be evaluated again.
bool ReadsProcess(Oid function, void*) {
  if (function >= FirstNormalObjectId || SourceOf(function) != ValueSource::kCatalogs) return false;
  if (func_parallel(function) == PROPARALLEL_SAFE) return false;
  RaiseUnsupported(psprintf("function %s depends on the session", get_func_name(function)));
}

bool RequireKnownAnywhere(Node* node, void* unused) {
  if (node == nullptr) return false;
  return check_functions_in_node(node, ReadsProcess, unused) ||
         WalkChildren(node, RequireKnownAnywhere, unused);
}

// `expression`, without columns, with what it asks of the session kept.
Node* KeepSession(Node* expression, FrozenValues* frozen) {
  // Alone, it is reached whatever happens.
  if (IsSessionCall(expression)) return Keep(expression, true, frozen);
  Node* kept = KeepSessionCalls(expression, frozen);
  // With a constant as its argument, a function can be inlined that could not before.
  List* inlined = NIL;
  if (!equal(kept, expression)) RequireNoClock(Simplify(CopyOf(kept), &inlined));
  return kept;
}

Node* FreezeNode(Node* node, FrozenValues* frozen);

// A function in FROM whose columns the query lists (json_to_record): it has to stay a call.
Node* FreezeArguments(RangeTblFunction* function, FrozenValues* frozen) {
  RangeTblFunction* copy = castNode(RangeTblFunction, CopyOf(function));
  copy->funcexpr = RewriteChildren(copy->funcexpr, FreezeNode, frozen);
  return AsNode(copy);
}

// As a constant it would be understood in this process alone (constant_rows.hpp).
bool IsRowWithoutType(const Node* node) {
  const Oid type = exprType(node);
  return type == RECORDOID || type == RECORDARRAYOID;
}

Node* FreezeNode(Node* node, FrozenValues* frozen) {
  if (node == nullptr) return nullptr;
  if (IsA(node, RangeTblFunction) && castNode(RangeTblFunction, node)->funccolnames != NIL)
    return FreezeArguments(castNode(RangeTblFunction, node), frozen);
  if (IsStructure(node) || IsA(node, CaseWhen) || IsJsonBehavior(node) || NeedsSurroundings(node) ||
      !contain_mutable_functions(node) || IsRowWithoutType(node))
    return RewriteChildren(node, FreezeNode, frozen);
  node = KeepSession(node, frozen);
  if (!contain_mutable_functions(node)) return node;
  RequireNoClockTexts(node);
  const ValueSource source = SourceOf(node);
  if (source == ValueSource::kSession) return Keep(node, true, frozen);
  char* text = TreeToText(node);
  if (source == ValueSource::kRoles)
    frozen->of_roles = list_append_unique_int(frozen->of_roles, HashOf(text));
  if (source != ValueSource::kCatalogs) return AsNode(EvaluateAlone(node));
  (void)RequireKnownAnywhere(node, nullptr);
  List* held = Find(frozen->held, text);
  Node* value = held != NIL ? CopyOf(lsecond(held)) : AsNode(EvaluateAlone(node));
  frozen->catalogs = lappend(frozen->catalogs, list_make2(makeString(text), value));
  return CopyOf(value);
}

}  // namespace

Node* Freeze(Node* tree, FrozenValues* frozen) { return FreezeNode(tree, frozen); }

List* EvaluateAgain(List* catalogs) {
  List* values = NIL;
  ListCell* cell;
  foreach (cell, catalogs) {
    Node* text = static_cast<Node*>(linitial(static_cast<List*>(lfirst(cell))));
    Node* expression = static_cast<Node*>(stringToNode(strVal(text)));
    values = lappend(values, list_make2(text, EvaluateAlone(expression)));
  }
  return values;
}

}  // namespace live_queries
