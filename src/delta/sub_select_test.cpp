// Process: client backend, evaluator.
#include "delta/sub_select_test.hpp"

#include "analyze/tree.hpp"

extern "C" {
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
}

namespace live_queries {
namespace {

Node* PutColumns(Node* node, List* targets) {
  if (node == nullptr) return nullptr;
  if (IsA(node, Param) && castNode(Param, node)->paramkind == PARAM_SUBLINK) {
    const auto number = static_cast<AttrNumber>(castNode(Param, node)->paramid);
    return AsNode(CopyOf(get_tle_by_resno(targets, number)->expr));
  }
  return RewriteChildren(node, PutColumns, targets);
}

}  // namespace

Node* TestWithin(const SubLink& link, const Query& body) {
  Node* outer = CopyOf(link.testexpr);
  IncrementVarSublevelsUp(outer, 1, 0);
  return PutColumns(outer, body.targetList);
}

}  // namespace live_queries
