// A plan of the delta strategy as JSON, with the texts of its queries: test/delta/random_batches.py
// calls it by name. Of a build with fault points alone, and no part of the extension.
#ifdef LIVE_QUERIES_FAULTS
#include "analyze/analyzed_query.hpp"
#include "delta/delta_plan.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/ruleutils.h"

LIVE_QUERIES_FUNCTION(live_queries_delta_plan);
}

namespace live_queries {
namespace {

void AppendQuery(StringInfo text, Query* query) {
  escape_json(text, pg_get_querydef(static_cast<Query*>(copyObjectImpl(query)), false));
}

void AppendRestricted(StringInfo text, List* queries) {
  appendStringInfoChar(text, '[');
  ListCell* cell;
  foreach (cell, queries) {
    const auto& one = *static_cast<Restricted*>(lfirst(cell));
    appendStringInfo(text, "%s{\"set\":%d,\"sql\":", foreach_current_index(cell) > 0 ? "," : "",
                     one.set);
    AppendQuery(text, one.query);
    appendStringInfoChar(text, '}');
  }
  appendStringInfoChar(text, ']');
}

void AppendSets(StringInfo text, List* sets) {
  ListCell* cell;
  foreach (cell, sets) {
    const auto& set = *static_cast<StaleSet*>(lfirst(cell));
    appendStringInfo(text, "%s{\"table\":%u,\"found\":%d,\"columns\":[",
                     foreach_current_index(cell) > 0 ? "," : "", set.table, set.found_param);
    ListCell* column_cell;
    foreach (column_cell, set.columns) {
      const auto& column = *static_cast<SetColumn*>(lfirst(column_cell));
      appendStringInfo(text, "%s{\"param\":%d,\"null\":%d,\"type\":\"%s\"}",
                       foreach_current_index(column_cell) > 0 ? "," : "", column.param,
                       column.null_param, format_type_be_qualified(column.type));
    }
    appendStringInfoString(text, "],\"probe\":");
    AppendRestricted(text, set.probe);
    appendStringInfoChar(text, '}');
  }
}

char* Show(const DeltaPlan& plan) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfo(&text, "{\"shown\":%d,\"bag\":%s,\"params\":%d,\"why\":", plan.shown,
                   plan.bag ? "true" : "false", plan.params);
  escape_json(&text, plan.why_whole == nullptr ? "" : plan.why_whole);
  appendStringInfo(&text, ",\"windows\":%d,\"key\":[",
                   plan.windows.why_none == nullptr ? list_length(plan.windows.all) : -1);
  ListCell* cell;
  foreach (cell, plan.key)
    appendStringInfo(&text, "%s%d", foreach_current_index(cell) > 0 ? "," : "", lfirst_int(cell));
  appendStringInfoString(&text, "],\"query\":");
  AppendQuery(&text, plan.query);
  appendStringInfoString(&text, ",\"sets\":[");
  AppendSets(&text, plan.sets);
  appendStringInfoString(&text, "],\"restricted\":");
  AppendRestricted(&text, plan.restricted);
  appendStringInfoChar(&text, '}');
  return text.data;
}

Datum ShowCall(FunctionCallInfo fcinfo) {
  const AnalyzedQuery analyzed =
      AnalyzeQuery(text_to_cstring(PG_GETARG_TEXT_PP(0)), NIL, FrozenValues{});
  const DeltaPlan plan = PlanDelta(analyzed.query);
  if (plan.refused != nullptr)
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("cannot watch this query: %s", plan.refused), errhint("%s", plan.cure));
  PG_RETURN_TEXT_P(cstring_to_text(Show(plan)));
}

}  // namespace
}  // namespace live_queries

Datum live_queries_delta_plan(PG_FUNCTION_ARGS) { return live_queries::ShowCall(fcinfo); }
#endif
