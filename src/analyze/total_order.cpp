// Makes the entries of ORDER BY that a person would write. Process: client backend, evaluator.
#include "analyze/total_order.hpp"

#include "analyze/equal_values.hpp"
#include "analyze/text_form.hpp"
#include "analyze/tree.hpp"

extern "C" {
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parse_oper.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

SortGroupClause* Ascending(const Expr* expression) {
  SortGroupClause* clause = makeNode(SortGroupClause);
  get_sort_group_operators(exprType(reinterpret_cast<const Node*>(expression)), true, true, false,
                           &clause->sortop, &clause->eqop, nullptr, &clause->hashable);
  return clause;
}

}  // namespace

bool CanBeOrdered(const Expr* expression) {
  const Oid type = exprType(reinterpret_cast<const Node*>(expression));
  // Whether all that a record holds can is known when there is one.
  if (type == RECORDOID || type == RECORDARRAYOID) return false;
  return OidIsValid(lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr);
}

void AppendOrder(const SortGroupClause* like, Expr* expression, List** order, List** targets) {
  TargetEntry* target = tlist_member(expression, *targets);
  if (target == nullptr) {
    target = makeTargetEntry(CopyOf(expression), static_cast<AttrNumber>(list_length(*targets) + 1),
                             nullptr, true);
    *targets = lappend(*targets, target);
  }
  if (targetIsInSortList(target, InvalidOid, *order)) return;
  SortGroupClause* clause = CopyOf(like);
  clause->tleSortGroupRef = assignSortGroupRef(target, *targets);
  *order = lappend(*order, clause);
}

void OrderAlsoBy(Expr* expression, List** order, List** targets) {
  if (IsA(expression, Const)) return;
  if (CanBeOrdered(expression)) AppendOrder(Ascending(expression), expression, order, targets);
  if (EqualMeansSame(expression)) return;
  Expr* text = ThroughText(CopyOf(expression), TEXTOID, C_COLLATION_OID);
  AppendOrder(Ascending(text), text, order, targets);
}

}  // namespace live_queries
