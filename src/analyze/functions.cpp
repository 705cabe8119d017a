// Puts parameters in their place, simplifies as the planner does, and refuses what is volatile or
// reads more than its row. Process: client backend, decoder.
#include "analyze/functions.hpp"

#include "analyze/tree.hpp"
#include "analyze/unsupported.hpp"
#include "analyze/value_sources.hpp"

extern "C" {
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

// Whether a function reads more than its arguments, as far as its declaration tells.
bool ReadsMoreThanItsRow(Oid function, void* culprit) {
  if (SourceOf(function) == ValueSource::kArguments) return false;
  *static_cast<char**>(culprit) = get_func_name(function);
  return true;
}

bool FindReader(Node* node, char** culprit) {
  if (node == nullptr) return false;
  if (IsA(node, SQLValueFunction)) {
    *culprit = pstrdup("current_user, or one like it,");
    return true;
  }
  if (check_functions_in_node(node, ReadsMoreThanItsRow, culprit)) return true;
  if (ConvertsNames(node))
    RaiseUnsupported(
        "it converts names of the catalogs, as of regclass, from or to text, and names change (use "
        "oid)");
  return WalkChildren(node, FindReader, culprit);
}

Node* BindNode(Node* node, List* values) {
  if (node == nullptr) return nullptr;
  if (IsA(node, Param)) {
    const Param* param = castNode(Param, node);
    if (param->paramkind == PARAM_SUBLINK) return node;  // what its test is told by a sub-select
    if (param->paramkind != PARAM_EXTERN || param->paramid > list_length(values))
      RaiseUnsupported("it contains an unexpected parameter");
    return static_cast<Node*>(copyObjectImpl(list_nth(values, param->paramid - 1)));
  }
  return RewriteChildren(node, BindNode, values);
}

Node* SimplifyTree(Node* node, PlannerInfo* root);

// An expression with the queries within it simplified: the server leaves these to their own turn.
Node* SimplifySublinks(Node* node, PlannerInfo* root) {
  if (node == nullptr) return nullptr;
  if (IsA(node, Query)) return SimplifyTree(node, root);
  return RewriteChildren(node, SimplifySublinks, root);
}

Node* SimplifyTree(Node* node, PlannerInfo* root) {
  if (node == nullptr) return nullptr;
  if (IsStructure(node)) {
    // 19 looks there for the tables of columns, which it knows nothing else of here.
    Query* const outer = root->parse;
    if (IsA(node, Query)) root->parse = castNode(Query, node);
    node = RewriteChildren(node, SimplifyTree, root);
    root->parse = outer;
    return node;
  }
  node = eval_const_expressions(root, SimplifySublinks(node, root));
  fix_opfuncids(node);
  return node;
}

}  // namespace

void RequireNoVolatile(Node* tree) {
  if (contain_volatile_functions(tree)) RaiseUnsupported("it calls a volatile function");
}

void RequireRowFunctions(Node* tree) {
  char* culprit = nullptr;
  if (!FindReader(tree, &culprit)) return;
  RequireNoVolatile(tree);  // as it may have become since that was asked
  RaiseUnsupported(
      psprintf("function %s takes a column and is only STABLE, so it may read more "
               "than the row",
               culprit == nullptr ? "(unknown)" : culprit));
}

void RequireSteadyChecks(Node* checks) {
  char* culprit = nullptr;
  if (!FindReader(checks, &culprit)) return;
  RaiseUnsupported(psprintf(
      "function %s in the CHECK of a domain is not IMMUTABLE, so it may read more than the "
      "value",
      culprit == nullptr ? "(unknown)" : culprit));
}

Node* BindParams(Node* tree, List* values) { return BindNode(tree, values); }

Node* Simplify(Node* tree, List** inlined) {
  // With a root, the server tells which functions it has inlined.
  PlannerInfo* root = makeNode(PlannerInfo);
  root->glob = makeNode(PlannerGlobal);
  tree = SimplifyTree(tree, root);
  ListCell* cell;
  foreach (cell, root->glob->invalItems) {
    const PlanInvalItem* item = lfirst_node(PlanInvalItem, cell);
    if (item->cacheId == PROCOID)
      *inlined = list_append_unique_int(*inlined, static_cast<int>(item->hashValue));
  }
  return tree;
}

}  // namespace live_queries
