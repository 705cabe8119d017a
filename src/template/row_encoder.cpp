// Encodes each column by to_json, which is prepared once for a template, with the key and names
// around it. Process: decoder.
#include "template/row_encoder.hpp"

#include "model/json_text.hpp"
#include "query/key.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "utils/fmgroids.h"
}

namespace live_queries {
namespace {

// to_json prepared for values of the type of `expression`.
void PrepareToJson(FmgrInfo* function, Expr* expression) {
  fmgr_info(F_TO_JSON, function);
  FuncExpr* call = makeFuncExpr(F_TO_JSON, JSONOID, list_make1(expression), InvalidOid, InvalidOid,
                                COERCE_EXPLICIT_CALL);
  fmgr_info_set_expr(reinterpret_cast<Node*>(call), function);
}

std::string_view JsonName(const char* name) {
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  EscapeJson(sink, std::string_view(name));
  sink.Append(std::string_view(":"));
  return View(text);
}

// With the separators of json_build_array, which makes the key of the first result.
std::string_view WholeRow(const RowEncoder& encoder, TupleTableSlot* result) {
  StringInfoData out;
  initStringInfo(&out);
  appendStringInfoChar(&out, '[');
  for (int i = 0; i < encoder.column_count; ++i) {
    if (i > 0) appendStringInfoString(&out, ", ");
    AppendColumnJson(encoder, result, i, &out);
  }
  appendStringInfoChar(&out, ']');
  return View(out);
}

}  // namespace

RowEncoder MakeRowEncoder(const QuerySpec& spec, ExprContext* expressions) {
  const int count = list_length(spec.result_columns);
  RowEncoder encoder = {};
  encoder.column_count = count;
  encoder.names = static_cast<std::string_view*>(palloc0(sizeof(std::string_view) * (count + 1)));
  encoder.to_json = static_cast<FmgrInfo*>(palloc0(sizeof(FmgrInfo) * (count + 1)));
  ListCell* cell;
  foreach (cell, spec.result_columns) {
    const int i = foreach_current_index(cell);
    const TargetEntry* column = lfirst_node(TargetEntry, cell);
    encoder.names[i] = JsonName(column->resname);
    PrepareToJson(&encoder.to_json[i], column->expr);
  }
  expressions->ecxt_param_list_info = KeyParams(spec);
  encoder.expressions = expressions;
  encoder.key = spec.bag ? nullptr : ExecInitExpr(KeyExpression(spec), nullptr);
  return encoder;
}

std::string_view KeyJson(const RowEncoder& encoder, TupleTableSlot* row, TupleTableSlot* result) {
  if (encoder.key == nullptr) return WholeRow(encoder, result);
  encoder.expressions->ecxt_scantuple = row;
  bool is_null;
  const text* key = DatumGetTextPP(ExecEvalExpr(encoder.key, encoder.expressions, &is_null));
  return {VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)};
}

void AppendColumnJson(const RowEncoder& encoder, TupleTableSlot* result, int column,
                      StringInfo out) {
  if (result->tts_isnull[column]) {
    appendStringInfoString(out, "null");
    return;
  }
  const text* json =
      DatumGetTextPP(FunctionCall1(&encoder.to_json[column], result->tts_values[column]));
  appendBinaryStringInfo(out, VARDATA_ANY(json), static_cast<int>(VARSIZE_ANY_EXHDR(json)));
}

}  // namespace live_queries
