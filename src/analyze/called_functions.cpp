// Walks trees, and asks at each node which functions its execution calls. Process: client backend,
// decoder.
#include "analyze/called_functions.hpp"

#include "analyze/domain_checks.hpp"
#include "analyze/functions_in.hpp"
#include "analyze/tree.hpp"
#include "analyze/type_components.hpp"
#include "analyze/type_functions.hpp"
#include "analyze/value_sources.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

uint32 VersionOf(Oid function) {
  if (function < FirstNormalObjectId) return 0;
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return 0;
  uint32 version = 0;
  for (AttrNumber column : {Anum_pg_proc_prosrc, Anum_pg_proc_probin, Anum_pg_proc_prosqlbody,
                            Anum_pg_proc_proconfig}) {
    bool is_null;
    const Datum value = SysCacheGetAttr(PROCOID, tuple, column, &is_null);
    if (is_null) continue;
    const struct varlena* bytes = PG_DETOAST_DATUM_PACKED(value);
    version =
        hash_combine(version, hash_bytes(reinterpret_cast<const unsigned char*>(VARDATA_ANY(bytes)),
                                         static_cast<int>(VARSIZE_ANY_EXHDR(bytes))));
  }
  const Form_pg_proc row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  version = hash_combine(version, row->prolang);
  version = hash_combine(version, row->prosecdef ? row->proowner : InvalidOid);
  version = hash_combine(version, row->proisstrict);
  ReleaseSysCache(tuple);
  return version;
}

bool IsProcedural(Oid function) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return false;
  const Oid language = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->prolang;
  ReleaseSysCache(tuple);
  return language != INTERNALlanguageId && language != ClanguageId;
}

// A function of the session, which may be asked for in the client alone: elsewhere, its value is
// known. Those with arguments can be asked for anywhere.
bool IsOfSession(Node* node) {
  return IsA(node, FuncExpr) && castNode(FuncExpr, node)->args == NIL &&
         SourceOf(castNode(FuncExpr, node)->funcid) == ValueSource::kSession;
}

void RequireExecuteOfFunction(Oid function) {
  if (MayExecute(function, GetUserId())) return;
  aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
}

// The function that `node` calls where only a plan can run it: an aggregate, a window function, one
// that returns a set. InvalidOid: none.
Oid CalledByPlan(Node* node) {
  if (IsA(node, Aggref)) return castNode(Aggref, node)->aggfnoid;
  if (IsA(node, WindowFunc)) return castNode(WindowFunc, node)->winfnoid;
  if (IsA(node, FuncExpr) && castNode(FuncExpr, node)->funcretset)
    return castNode(FuncExpr, node)->funcid;
  if (IsA(node, OpExpr) && castNode(OpExpr, node)->opretset)
    return castNode(OpExpr, node)->opfuncid;
  return InvalidOid;
}

bool CheckExecute(Node* node, void* unused);

// `node` with what cannot be initialized alone checked by itself, and left out.
Node* CheckApart(Node* node, void* unused) {
  if (node == nullptr) return nullptr;
  const Oid by_plan = CalledByPlan(node);
  const bool apart = OidIsValid(by_plan) || IsOfSession(node) || IsA(node, SubLink) ||
                     IsA(node, GroupingFunc) || IsA(node, Param);
  if (!apart) return RewriteChildren(node, CheckApart, unused);
  if (OidIsValid(by_plan)) RequireExecuteOfFunction(by_plan);
  if (IsOfSession(node)) RequireExecuteOfFunction(castNode(FuncExpr, node)->funcid);
  (void)WalkChildren(node, CheckExecute, unused);
  return AsNode(makeNullConst(exprType(node), exprTypmod(node), exprCollation(node)));
}

// Initializing an expression asks for the functions in it, and for those in the checks of domains.
bool CheckExecute(Node* node, void* unused) {
  if (node == nullptr) return false;
  if (IsStructure(node)) return WalkChildren(node, CheckExecute, unused);
  (void)ExecInitExpr(reinterpret_cast<Expr*>(CheckApart(node, unused)), nullptr);
  return false;
}

// What `called` knows of a function, by its place; -1: nothing.
int PlaceIn(const CalledFunctions& called, Oid function) {
  ListCell* cell;
  foreach (cell, called.oids)
    if (lfirst_oid(cell) == function) return foreach_current_index(cell);
  return -1;
}

// The place in `called` of a function, which is new there perhaps. A body that is not known is
// read; calls of polymorphic functions in it are added to `*calls`.
int PlaceOf(Oid function, CalledFunctions* called, List** calls) {
  const int place = PlaceIn(*called, function);
  if (place >= 0) return place;
  called->oids = lappend_oid(called->oids, function);
  called->versions = lappend_int(called->versions, static_cast<int>(VersionOf(function)));
  called->bodies = lappend(called->bodies, FunctionsInBody(function, calls));
  return list_length(called->oids) - 1;
}

// The body of a polymorphic function calls all that it does for any of the types that it is called
// with.
void ReadTypedBody(const TypedCall& call, CalledFunctions* called, List** calls) {
  const int place = PlaceOf(call.function, called, calls);
  ListCell* body = list_nth_cell(called->bodies, place);
  List* before = list_copy(static_cast<List*>(lfirst(body)));
  lfirst(body) = list_concat_unique_oid(before, FunctionsInBody(call, calls));
}

// The functions that `tree` calls, with their bodies where `known` has not read them already.
CalledFunctions CalledBy(Node* tree, List* oids, const CalledFunctions& known) {
  List* calls = NIL;
  NoteFunctionsIn(tree, &oids);
  NoteTypedCalls(tree, &calls);
  ListCell* cell;
  foreach (cell, TypesIn(tree, true))
    oids = list_concat_unique_oid(oids, FunctionsOfType(lfirst_oid(cell)));
  foreach (cell, TypesMadeJson(tree))
    if (const Oid cast = JsonCastOf(lfirst_oid(cell)); OidIsValid(cast))
      oids = list_append_unique_oid(oids, cast);
  List* checks = DomainChecksIn(tree);
  NoteFunctionsIn(AsNode(checks), &oids);
  NoteTypedCalls(AsNode(checks), &calls);
  CalledFunctions read = {list_copy(known.oids), list_copy(known.versions),
                          list_copy(known.bodies)};
  // Both lists grow, as bodies call functions with bodies.
  for (int i = 0, next_call = 0; i < list_length(oids) || next_call < list_length(calls);) {
    if (next_call < list_length(calls)) {
      const auto& call = *static_cast<TypedCall*>(list_nth(calls, next_call++));
      ReadTypedBody(call, &read, &calls);
      oids = list_append_unique_oid(oids, call.function);
      oids = list_concat_unique_oid(
          oids, static_cast<List*>(list_nth(read.bodies, PlaceIn(read, call.function))));
      continue;
    }
    const int place = PlaceOf(list_nth_oid(oids, i++), &read, &calls);
    oids = list_concat_unique_oid(oids, static_cast<List*>(list_nth(read.bodies, place)));
  }
  list_sort(oids, list_oid_cmp);
  CalledFunctions called = {oids, NIL, NIL};
  foreach (cell, oids) {
    const int place = PlaceIn(read, lfirst_oid(cell));
    called.versions = lappend_int(called.versions, list_nth_int(read.versions, place));
    called.bodies = lappend(called.bodies, list_nth(read.bodies, place));
  }
  return called;
}

}  // namespace

void NoteCalledFunctions(Node* tree, CalledFunctions* called) {
  *called = CalledBy(tree, list_copy(called->oids), *called);
}

bool CallsProcedures(Node* tree, const CalledFunctions& called) {
  ListCell* cell;
  foreach (cell, CalledBy(tree, NIL, called).oids)
    if (IsProcedural(lfirst_oid(cell))) return true;
  return false;
}

bool IncludesFunctions(const CalledFunctions& now, const CalledFunctions& former) {
  int i = 0;
  ListCell* cell;
  foreach (cell, former.oids) {
    while (i < list_length(now.oids) && list_nth_oid(now.oids, i) < lfirst_oid(cell)) ++i;
    if (i == list_length(now.oids) || list_nth_oid(now.oids, i) != lfirst_oid(cell)) return false;
    if (list_nth_int(now.versions, i) != list_nth_int(former.versions, foreach_current_index(cell)))
      return false;
  }
  return true;
}

void RequireExecute(Node* tree) {
  MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "live_queries EXECUTE check",
                                                ALLOCSET_SMALL_SIZES);
  MemoryContext outer = MemoryContextSwitchTo(context);
  (void)CheckExecute(tree, nullptr);
  MemoryContextSwitchTo(outer);
  MemoryContextDelete(context);
}

void RequireExecuteInBodies(const CalledFunctions& called) {
  ListCell* cell;
  foreach (cell, called.bodies) {
    ListCell* inner;
    foreach (inner, static_cast<List*>(lfirst(cell))) RequireExecuteOfFunction(lfirst_oid(inner));
  }
}

}  // namespace live_queries
