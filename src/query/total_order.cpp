// Makes the entries of ORDER BY that a person would write. Process: client backend, evaluator.
#include "query/total_order.hpp"

#include "query/equal_values.hpp"
#include "query/tree.hpp"

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

void AppendOrder(Expr* expression, List** order, List** targets) {
  TargetEntry* target = tlist_member(expression, *targets);
  if (target == nullptr) {
    target = makeTargetEntry(CopyOf(expression), static_cast<AttrNumber>(list_length(*targets) + 1),
                             nullptr, true);
    *targets = lappend(*targets, target);
  }
  if (targetIsInSortList(target, InvalidOid, *order)) return;
  SortGroupClause* clause = makeNode(SortGroupClause);
  get_sort_group_operators(exprType(AsNode(expression)), true, true, false, &clause->sortop,
                           &clause->eqop, nullptr, &clause->hashable);
  clause->tleSortGroupRef = assignSortGroupRef(target, *targets);
  *order = lappend(*order, clause);
}

Expr* TextOf(Expr* expression) {
  CoerceViaIO* text = makeNode(CoerceViaIO);
  text->arg = CopyOf(expression);
  text->resulttype = TEXTOID;
  text->resultcollid = C_COLLATION_OID;
  text->coerceformat = COERCE_EXPLICIT_CAST;
  text->location = -1;
  return reinterpret_cast<Expr*>(text);
}

}  // namespace

bool CanBeOrdered(const Expr* expression) {
  const Oid type = exprType(reinterpret_cast<const Node*>(expression));
  // Whether all that a record holds can is known when there is one.
  if (type == RECORDOID || type == RECORDARRAYOID) return false;
  return OidIsValid(lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr);
}

void OrderAlsoBy(Expr* expression, List** order, List** targets) {
  if (IsA(expression, Const)) return;
  if (CanBeOrdered(expression)) AppendOrder(expression, order, targets);
  if (!EqualMeansSame(expression)) AppendOrder(TextOf(expression), order, targets);
}

}  // namespace live_queries
