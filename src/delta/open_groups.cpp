// The level groups by the expression as before, and shows an aggregate of it. Process: client
// backend, evaluator.
#include "delta/open_groups.hpp"

#include "analyze/equal_values.hpp"
#include "analyze/text_form.hpp"
#include "analyze/tree.hpp"

extern "C" {
#include "catalog/pg_aggregate.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
}

namespace live_queries {
namespace {

// Whether a value of it is what its text says, whatever the settings.
bool IsItsText(Oid type) { return type == NUMERICOID || type == JSONBOID; }

// min(`value`::text COLLATE "C"), as a value again.
Expr* LeastByText(const Expr* value) {
  Aggref* least = makeNode(Aggref);
  least->aggfnoid = F_MIN_TEXT;
  least->aggtype = TEXTOID;
  least->aggcollid = C_COLLATION_OID;
  least->inputcollid = C_COLLATION_OID;
  least->aggargtypes = list_make1_oid(TEXTOID);
  least->args = list_make1(
      makeTargetEntry(ThroughText(CopyOf(value), TEXTOID, C_COLLATION_OID), 1, nullptr, false));
  least->aggkind = AGGKIND_NORMAL;
  least->aggsplit = AGGSPLIT_SIMPLE;
  least->aggno = least->aggtransno = -1;
  least->location = -1;
  return ThroughText(reinterpret_cast<Expr*>(least), exprType(reinterpret_cast<const Node*>(value)),
                     InvalidOid);
}

struct Replacement {
  const Expr* group;
};

Node* PutLeast(Node* node, Replacement* replacement) {
  if (node == nullptr) return nullptr;
  if (equal(node, replacement->group)) return AsNode(LeastByText(replacement->group));
  if (IsA(node, Aggref)) return node;
  return RewriteChildren(node, PutLeast, replacement);
}

bool IsNamedIn(List* clauses, Index ref) {
  ListCell* cell;
  foreach (cell, clauses)
    if (lfirst_node(SortGroupClause, cell)->tleSortGroupRef == ref) return true;
  return false;
}

// Whether anything but the order asks for the group itself.
bool IsUsedElsewhere(const Query& query, Index ref) {
  if (IsNamedIn(query.distinctClause, ref)) return true;
  ListCell* cell;
  foreach (cell, query.windowClause) {
    const auto* window = lfirst_node(WindowClause, cell);
    if (IsNamedIn(window->partitionClause, ref) || IsNamedIn(window->orderClause, ref)) return true;
  }
  return false;
}

bool CanShowLeast(const Query& query, const TargetEntry& target) {
  return IsItsText(exprType(AsNode(target.expr))) && query.groupingSets == NIL &&
         !query.hasSubLinks && !IsUsedElsewhere(query, target.ressortgroupref);
}

void ShowLeast(Query* query, TargetEntry* target) {
  const Expr* group = target->expr;
  if (!target->resjunk) {
    TargetEntry* hidden = makeTargetEntry(
        CopyOf(group), static_cast<AttrNumber>(list_length(query->targetList) + 1), nullptr, true);
    hidden->ressortgroupref = target->ressortgroupref;
    target->ressortgroupref = 0;
    query->targetList = lappend(query->targetList, hidden);
  }
  Replacement replacement = {group};
  ListCell* cell;
  foreach (cell, query->targetList) {
    auto* other = lfirst_node(TargetEntry, cell);
    if (other->ressortgroupref != 0 && IsNamedIn(query->groupClause, other->ressortgroupref))
      continue;
    other->expr = reinterpret_cast<Expr*>(PutLeast(AsNode(other->expr), &replacement));
  }
  query->havingQual = PutLeast(query->havingQual, &replacement);
  query->hasAggs = true;
}

}  // namespace

void DecideGroups(Query* query, Decisions* decisions) {
  ListCell* cell;
  foreach (cell, query->groupClause) {
    TargetEntry* target =
        get_sortgroupclause_tle(lfirst_node(SortGroupClause, cell), query->targetList);
    if (EqualMeansSame(target->expr)) continue;
    if (CanShowLeast(*query, *target)) {
      ShowLeast(query, target);
      Decide(decisions,
             "GROUP BY: of values that are equal but not the same, a group shows the one "
             "with the least text");
    } else {
      LeaveOpen(decisions,
                "it groups by values that can be equal but not the same, such as 1.0 and 1.00",
                kCastCure);
    }
  }
}

List* ShownGroups(const Query& query) {
  List* shown = NIL;
  ListCell* cell;
  foreach (cell, get_sortgrouplist_exprs(query.groupClause, query.targetList)) {
    Expr* group = static_cast<Expr*>(lfirst(cell));
    shown = lappend(shown, EqualMeansSame(group) ? group : LeastByText(group));
  }
  return shown;
}

}  // namespace live_queries
