// Walks expressions. Process: client backend, decoder.
#include "query/called_functions.hpp"

#include "pg/compat.hpp"
#include "query/domain_checks.hpp"
#include "query/functions_in.hpp"
#include "query/tree.hpp"
#include "query/type_components.hpp"
#include "query/type_functions.hpp"
#include "query/value_sources.hpp"

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

// `node`, where each of these has been checked and is left out.
Node* CheckSessionCalls(Node* node, void* unused) {
  if (node == nullptr) return nullptr;
  if (!IsOfSession(node)) return RewriteChildren(node, CheckSessionCalls, unused);
  RequireExecuteOfFunction(castNode(FuncExpr, node)->funcid);
  return reinterpret_cast<Node*>(
      makeNullConst(exprType(node), exprTypmod(node), exprCollation(node)));
}

void RequireExecuteOf(Node* node) {
  if (node == nullptr) return;
  if (IsA(node, List)) {
    ListCell* cell;
    foreach (cell, castNode(List, node)) RequireExecuteOf(static_cast<Node*>(lfirst(cell)));
    return;
  }
  if (IsA(node, TargetEntry)) node = reinterpret_cast<Node*>(castNode(TargetEntry, node)->expr);
  (void)ExecInitExpr(reinterpret_cast<Expr*>(node), nullptr);
}

}  // namespace

void NoteCalledFunctions(List* expressions, CalledFunctions* called) {
  List* oids = list_copy(called->oids);
  NoteFunctionsIn(reinterpret_cast<Node*>(expressions), &oids);
  ListCell* cell;
  foreach (cell, TypesIn(expressions, true))
    oids = list_concat_unique_oid(oids, FunctionsOfType(lfirst_oid(cell)));
  foreach (cell, TypesMadeJson(expressions))
    if (const Oid cast = JsonCastOf(lfirst_oid(cell)); OidIsValid(cast))
      oids = list_append_unique_oid(oids, cast);
  NoteFunctionsIn(reinterpret_cast<Node*>(DomainChecksIn(expressions)), &oids);
  // The list grows, as bodies call functions with bodies.
  for (int i = 0; i < list_length(oids); ++i)
    oids = list_concat_unique_oid(oids, FunctionsInBody(list_nth_oid(oids, i)));
  list_sort(oids, list_oid_cmp);
  *called = {oids, NIL};
  foreach (cell, oids)
    called->versions = lappend_int(called->versions, static_cast<int>(VersionOf(lfirst_oid(cell))));
}

bool CallProcedures(List* expressions) {
  CalledFunctions called = {};
  NoteCalledFunctions(expressions, &called);
  ListCell* cell;
  foreach (cell, called.oids)
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

void RequireExecute(List* expressions) {
  MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "live_queries EXECUTE check",
                                                ALLOCSET_SMALL_SIZES);
  MemoryContext outer = MemoryContextSwitchTo(context);
  RequireExecuteOf(CheckSessionCalls(reinterpret_cast<Node*>(expressions), nullptr));
  MemoryContextSwitchTo(outer);
  MemoryContextDelete(context);
}

void RequireExecuteInBodies(const CalledFunctions& called) {
  ListCell* cell;
  foreach (cell, called.oids) {
    ListCell* inner;
    foreach (inner, FunctionsInBody(lfirst_oid(cell))) RequireExecuteOfFunction(lfirst_oid(inner));
  }
}

}  // namespace live_queries
