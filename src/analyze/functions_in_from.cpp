// The server finds out whether a function is a query, and makes that (clauses.c). What the server
// may leave out, since it does not look at it any more, is put right here. Process: client backend,
// decoder.
#include "analyze/functions_in_from.hpp"

#include "analyze/called_functions.hpp"
#include "analyze/clock.hpp"
#include "analyze/pull_up.hpp"
#include "analyze/tree.hpp"
#include "analyze/type_components.hpp"
#include "analyze/unsupported.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

// Of all that is put in the place of functions. Each that calls two others, which call two others
// ... would be very much, and so would arguments that a function gives on twice.
constexpr int kMostLevels = 500;
constexpr int kMostNodes = 100'000;

struct Inlining {
  PlannerInfo* root;
  QueryDependencies* dependencies;
  List* done;  // Query*: bodies that have been gone through
  int levels;
  int nodes;
};

// What the server does not say of a function.
struct Body {
  bool may_be_query;
  const char* text;  // nullptr: it was parsed when the function was made
};

// From 19 on the server asks support functions, too, whatever the language. Those give queries that
// nobody has read, and that may be others at another time.
Body ReadBody(HeapTuple function) {
  const Form_pg_proc row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(function));
  if (row->prolang != SQLlanguageId || OidIsValid(row->prosupport)) return {false, nullptr};
  if (!heap_attisnull(function, Anum_pg_proc_prosqlbody, nullptr)) return {true, nullptr};
  bool is_null;
  const Datum source = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_prosrc, &is_null);
  return {!is_null, is_null ? nullptr : TextDatumGetCString(source)};
}

bool ForgetLocations(Node* node, void* unused) {
  if (node == nullptr) return false;
  if (IsA(node, Const)) castNode(Const, node)->location = -1;
  return WalkChildren(node, ForgetLocations, unused);
}

// Gives `call`, of `function`, the arguments that the server expects: named and left out ones in
// their places, and no sub-select that is an expression. They stand in another text than the body.
void PrepareArguments(FuncExpr* call, HeapTuple function) {
  call->args = expand_function_arguments(call->args, false, call->funcresulttype, function);
  if (call->args == NIL) return;
  call->args = PullUpExpressions(call->args);
  (void)ForgetLocations(AsNode(call->args), nullptr);
}

bool CheckNode(Node* node, Inlining* inlining) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) {
    ++inlining->levels;
    if (castNode(Query, node)->hasModifyingCTE) RaiseUnsupported("it writes, in WITH");
  }
  ++inlining->nodes;
  if (inlining->levels > kMostLevels || inlining->nodes > kMostNodes)
    RaiseUnsupported("functions in FROM, and those in their bodies, make it too large");
  return WalkChildren(node, CheckNode, inlining);
}

bool ReadsTable(Node* node, void* unused) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) {
    ListCell* cell;
    foreach (cell, castNode(Query, node)->rtable) {
      // Before 16, a view that has become a sub-select is still there as OLD and NEW.
      const auto* entry = lfirst_node(RangeTblEntry, cell);
      if (entry->rtekind == RTE_RELATION && entry->relkind != RELKIND_VIEW) return true;
    }
  }
  return WalkChildren(node, ReadsTable, unused);
}

// Names all columns of `query`, which takes the place of `entry`: the server makes some without a
// name, for columns of the row type that were dropped. An entry of a view or of a parsed body does
// not know the columns that the row type has got since.
void NameColumns(const Query& query, RangeTblEntry* entry) {
  ListCell* cell;
  foreach (cell, query.targetList) {
    auto* target = lfirst_node(TargetEntry, cell);
    if (target->resjunk) break;
    if (target->resname == nullptr) target->resname = psprintf("?dropped %d", target->resno);
    if (target->resno > list_length(entry->eref->colnames))
      entry->eref->colnames = lappend(entry->eref->colnames, makeString(pstrdup(target->resname)));
  }
}

bool InlineIn(Node* node, Inlining* inlining);

// The query that the one function of `entry` is; nullptr if it is none.
Query* QueryOf(RangeTblEntry* entry, FuncExpr* call, Inlining* inlining) {
  HeapTuple function = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(call->funcid));
  if (!HeapTupleIsValid(function)) return nullptr;
  const Body body = ReadBody(function);
  if (body.may_be_query) PrepareArguments(call, function);
  heap_freetuple(function);
  Query* query = body.may_be_query ? inline_function_in_from(inlining->root, entry) : nullptr;
  if (query == nullptr) return nullptr;
  CHECK_FOR_INTERRUPTS();
  (void)CheckNode(AsNode(query), inlining);
  if (body.text != nullptr)
    RequireNoClockInBody(ClockLiteral(linitial_node(RawStmt, pg_parse_query(body.text)), query),
                         call->funcid);
  return query;
}

void InlineOne(RangeTblEntry* entry, Inlining* inlining) {
  if (entry->rtekind != RTE_FUNCTION || list_length(entry->functions) != 1) return;
  auto* function = linitial_node(RangeTblFunction, entry->functions);
  if (!IsA(function->funcexpr, FuncExpr)) return;
  Query* query = QueryOf(entry, castNode(FuncExpr, function->funcexpr), inlining);
  if (query == nullptr) return;
  (void)InlineIn(AsNode(query), inlining);
  QueryDependencies* dependencies = inlining->dependencies;
  if (!ReadsTable(AsNode(query), nullptr)) {
    // The planner inlines it, too, and what it calls.
    NoteCalledFunctions(AsNode(query), &dependencies->called);
    return;
  }
  inlining->done = lappend(inlining->done, query);
  NoteCalledFunctions(AsNode(entry->functions), &dependencies->called);
  // Its columns are made values of the row type's.
  dependencies->types =
      list_concat_unique_oid(dependencies->types, TypesIn(AsNode(entry->functions), true));
  NameColumns(*query, entry);
  entry->rtekind = RTE_SUBQUERY;
  entry->subquery = query;
  entry->security_barrier = false;
  entry->functions = NIL;
  entry->funcordinality = false;
}

bool InlineIn(Node* node, Inlining* inlining) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) {
    if (list_member_ptr(inlining->done, node)) return false;
    ListCell* cell;
    foreach (cell, castNode(Query, node)->rtable)
      InlineOne(lfirst_node(RangeTblEntry, cell), inlining);
  }
  return WalkChildren(node, InlineIn, inlining);
}

}  // namespace

void InlineFunctionsInFrom(Query* query, QueryDependencies* dependencies) {
  PlannerInfo* root = makeNode(PlannerInfo);
  root->glob = makeNode(PlannerGlobal);
  root->parse = query;
  Inlining inlining = {root, dependencies, NIL, 0, 0};
  (void)InlineIn(AsNode(query), &inlining);
}

}  // namespace live_queries
