// A level below whose row is used gets one more level around it, with the row as its last column.
// Process: client backend, evaluator.
#include "delta/whole_rows.hpp"

#include "analyze/tree.hpp"
#include "delta/restriction.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
}

namespace live_queries {
namespace {

struct UseContext {
  int levels_up;
  int index;
  AttrNumber column;  // that takes the place of the whole row; 0: look for it alone
  Oid type;           // of the row, where it was found; InvalidOid: it was not
};

bool ReplaceUses(Node* node, UseContext* context) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) {
    ++context->levels_up;
    (void)WalkChildren(node, ReplaceUses, context);
    --context->levels_up;
    return false;
  }
  if (IsA(node, Var)) {
    auto* var = castNode(Var, node);
    if (static_cast<int>(var->varlevelsup) != context->levels_up || var->varno != context->index ||
        var->varattno != InvalidAttrNumber)
      return false;
    context->type = var->vartype;
    if (context->column != 0) var->varattno = context->column;
    return false;
  }
  return WalkChildren(node, ReplaceUses, context);
}

// The type of the row; InvalidOid: it is not used.
Oid UseRow(Query* query, int index, AttrNumber column) {
  UseContext context = {0, index, column, InvalidOid};
  (void)WalkChildren(AsNode(query), ReplaceUses, &context);
  return context.type;
}

// The number of the column that is the row.
AttrNumber SelectRow(RangeTblEntry* entry, Oid type) {
  Query* level = Wrapped(entry->subquery);
  RowExpr* row = makeNode(RowExpr);
  row->row_typeid = type;
  row->row_format = COERCE_IMPLICIT_CAST;
  row->location = -1;
  ListCell* cell;
  foreach (cell, level->targetList) {
    const auto* target = lfirst_node(TargetEntry, cell);
    row->args = lappend(row->args, CopyOf(target->expr));
    row->colnames =
        lappend(row->colnames,
                CopyOf(list_nth_node(String, entry->eref->colnames, foreach_current_index(cell))));
  }
  const auto number = static_cast<AttrNumber>(list_length(level->targetList) + 1);
  level->targetList = lappend(level->targetList, makeTargetEntry(reinterpret_cast<Expr*>(row),
                                                                 number, pstrdup("?row"), false));
  entry->subquery = level;
  entry->eref->colnames = lappend(entry->eref->colnames, makeString(pstrdup("?row")));
  return number;
}

bool SelectIn(Node* node, void* unused) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) {
    auto* query = castNode(Query, node);
    const int count = list_length(query->rtable);
    for (int index = 1; index <= count; ++index) {
      RangeTblEntry* entry = rt_fetch(index, query->rtable);
      const Oid type = entry->rtekind == RTE_SUBQUERY ? UseRow(query, index, 0) : InvalidOid;
      if (!OidIsValid(type)) continue;
      (void)UseRow(query, index, SelectRow(entry, type));
    }
  }
  return WalkChildren(node, SelectIn, unused);
}

}  // namespace

void SelectWholeRows(Query* query) { (void)SelectIn(AsNode(query), nullptr); }

}  // namespace live_queries
