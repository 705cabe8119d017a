// From the outermost level to the innermost; the queries of WITH before what refers to them.
// Process: client backend, evaluator.
#include "delta/common_tables.hpp"

#include "analyze/tree.hpp"
#include "delta/open_answers.hpp"

extern "C" {
#include "rewrite/rewriteManip.h"
}

namespace live_queries {
namespace {

// Levels that are copied: each query that is used twice, of one that is used twice, ... would be
// there very often.
constexpr int kMostCopied = 500;

struct CteContext {
  const char** why_not;
  int* copied;
  Decisions* decisions;
  List* levels;  // Query*, from the innermost
};

bool InlineCtesIn(Node* node, CteContext* context);

const CommonTableExpr* FindCte(const CteContext& context, const RangeTblEntry& entry) {
  if (static_cast<int>(entry.ctelevelsup) >= list_length(context.levels)) return nullptr;
  const auto* query = static_cast<Query*>(list_nth(context.levels, entry.ctelevelsup));
  ListCell* cell;
  foreach (cell, query->cteList) {
    const auto* cte = lfirst_node(CommonTableExpr, cell);
    if (strcmp(cte->ctename, entry.ctename) == 0) return cte;
  }
  return nullptr;
}

bool CountLevels(Node* node, int* count) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) ++*count;
  return WalkChildren(node, CountLevels, count);
}

void InlineCte(RangeTblEntry* entry, const CteContext& context) {
  const CommonTableExpr* cte = FindCte(context, *entry);
  if (entry->self_reference || cte == nullptr || cte->cterecursive) {
    *context.why_not = "it contains WITH RECURSIVE";
    return;
  }
  (void)CountLevels(cte->ctequery, context.copied);
  if (*context.copied > kMostCopied) {
    *context.why_not = "it uses queries of WITH too often";
    return;
  }
  entry->rtekind = RTE_SUBQUERY;
  entry->subquery = castNode(Query, CopyOf(cte->ctequery));
  if (entry->ctelevelsup > 0)
    IncrementVarSublevelsUp(AsNode(entry->subquery), static_cast<int>(entry->ctelevelsup), 1);
  entry->ctename = nullptr;
  entry->ctelevelsup = 0;
  entry->security_barrier = false;
}

bool InlineCtesIn(Node* node, CteContext* context) {
  if (node == nullptr) return false;
  if (!IsA(node, Query)) return WalkChildren(node, InlineCtesIn, context);
  Query* query = castNode(Query, node);
  CHECK_FOR_INTERRUPTS();
  CteContext here = {context->why_not, context->copied, context->decisions,
                     lcons(query, list_copy(context->levels))};
  ListCell* cell;
  foreach (cell, query->cteList) {  // before they are copied
    const auto* cte = lfirst_node(CommonTableExpr, cell);
    (void)InlineCtesIn(cte->ctequery, &here);
    // All copies have the same rows.
    if (cte->cterefcount > 1) DecideAll(castNode(Query, cte->ctequery), here.decisions);
  }
  foreach (cell, query->rtable)
    if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_CTE)
      InlineCte(lfirst_node(RangeTblEntry, cell), here);
  (void)WalkChildren(node, InlineCtesIn, &here);
  query->cteList = NIL;
  return false;
}

}  // namespace

const char* InlineCommonTables(Query* query, Decisions* decisions) {
  const char* why_not = nullptr;
  int copied = 0;
  CteContext context = {&why_not, &copied, decisions, NIL};
  (void)InlineCtesIn(AsNode(query), &context);
  return why_not;
}

}  // namespace live_queries
