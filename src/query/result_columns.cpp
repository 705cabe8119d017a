// Writes the description as JSON: of each column its type and its places in key and order. Process:
// client backend.
#include "query/result_columns.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/json.h"
}

namespace live_queries {
namespace {

void AppendType(StringInfo text, const TargetEntry& column) {
  const Node* value = reinterpret_cast<const Node*>(column.expr);
  appendStringInfoString(text, ",\"type\":");
  escape_json(text, format_type_with_typemod(exprType(value), exprTypmod(value)));
}

void AppendPlaceInKey(StringInfo text, const TargetEntry& column, const QuerySpec& spec) {
  if (!IsA(column.expr, Var) || IsOpaque(spec)) return;
  const AttrNumber attribute = reinterpret_cast<const Var*>(column.expr)->varattno;
  ListCell* cell;
  foreach (cell, spec.key)
    if (lfirst_int(cell) == attribute)
      appendStringInfo(text, ",\"key\":%d", foreach_current_index(cell));
}

void AppendPlaceInOrder(StringInfo text, const TargetEntry& column, List* sort_clause) {
  if (column.ressortgroupref == 0) return;
  ListCell* cell;
  foreach (cell, sort_clause) {
    const auto& order = *lfirst_node(SortGroupClause, cell);
    if (order.tleSortGroupRef != column.ressortgroupref) continue;
    appendStringInfo(text, ",\"order\":%d,\"descending\":%s,\"nulls_first\":%s",
                     foreach_current_index(cell), SortsDescending(order.sortop) ? "true" : "false",
                     order.nulls_first ? "true" : "false");
  }
}

}  // namespace

List* ResultColumns(List* target_list) {
  List* visible = NIL;
  ListCell* cell;
  foreach (cell, target_list)
    if (!lfirst_node(TargetEntry, cell)->resjunk) visible = lappend(visible, lfirst(cell));
  return visible;
}

void RequireDistinctNames(List* result_columns) {
  ListCell* cell;
  foreach (cell, result_columns) {
    const char* name = lfirst_node(TargetEntry, cell)->resname;
    for (int i = 0; i < foreach_current_index(cell); ++i)
      if (strcmp(list_nth_node(TargetEntry, result_columns, i)->resname, name) == 0)
        ereport(ERROR, errcode(ERRCODE_DUPLICATE_COLUMN),
                errmsg("column \"%s\" appears twice in the result", name),
                errhint("Give each result column a name of its own, with AS."));
  }
}

char* DescribeResultColumns(const Plan& plan) {
  StringInfoData text;
  initStringInfo(&text);
  ListCell* cell;
  foreach (cell, plan.query->targetList) {
    const auto& column = *lfirst_node(TargetEntry, cell);
    if (column.resjunk) continue;
    appendStringInfoString(&text, text.len == 0 ? "[{\"name\":" : ",{\"name\":");
    escape_json(&text, column.resname);
    AppendType(&text, column);
    AppendPlaceInKey(&text, column, plan.spec);
    AppendPlaceInOrder(&text, column, plan.sort_clause);
    appendStringInfoChar(&text, '}');
  }
  appendStringInfoString(&text, text.len == 0 ? "[]" : "]");
  return text.data;
}

}  // namespace live_queries
