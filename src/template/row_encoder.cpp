// Puts key and names around the JSON of each column. Process: decoder, evaluator, client backend.
#include "template/row_encoder.hpp"

#include "model/json_text.hpp"
#include "query/key.hpp"

extern "C" {
#include "executor/executor.h"
#include "utils/fmgroids.h"
}

namespace live_queries {
namespace {

std::string_view JsonName(const char* name) {
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  EscapeJson(sink, std::string_view(name));
  sink.Append(std::string_view(":"));
  return View(text);
}

KeyEncoder MakeKeyEncoder(Expr* key) {
  KeyEncoder encoder = {};
  const auto* array = IsA(key, FuncExpr) ? reinterpret_cast<FuncExpr*>(key) : nullptr;
  if (array == nullptr || array->funcid != F_JSON_BUILD_ARRAY_ANY || array->funcvariadic)
    return encoder;
  encoder.count = list_length(array->args);
  encoder.values = static_cast<ExprState**>(palloc(sizeof(ExprState*) * encoder.count));
  encoder.to_json = static_cast<ToJson*>(palloc(sizeof(ToJson) * encoder.count));
  ListCell* cell;
  foreach (cell, array->args) {
    const int i = foreach_current_index(cell);
    encoder.values[i] = ExecInitExpr(static_cast<Expr*>(lfirst(cell)), nullptr);
    encoder.to_json[i] = PrepareToJson(static_cast<Expr*>(lfirst(cell)));
  }
  return encoder;
}

void AppendValue(ToJson* to_json, Datum value, bool is_null, StringInfo out) {
  if (is_null)
    appendStringInfoString(out, "null");
  else
    AppendJson(to_json, value, out);
}

// With the separators of json_build_array, which makes the key of the first result, as below.
std::string_view ArrayOf(const KeyEncoder& key, ExprContext* expressions) {
  constexpr int kUsualBytes = 64;
  StringInfoData out = {};
  out.data = static_cast<char*>(palloc(kUsualBytes));
  out.maxlen = kUsualBytes;
  appendStringInfoChar(&out, '[');
  for (int i = 0; i < key.count; ++i) {
    if (i > 0) appendStringInfoString(&out, ", ");
    bool is_null;
    const Datum value = ExecEvalExpr(key.values[i], expressions, &is_null);
    AppendValue(&key.to_json[i], value, is_null, &out);
  }
  appendStringInfoChar(&out, ']');
  return View(out);
}

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
  encoder.to_json = static_cast<ToJson*>(palloc(sizeof(ToJson) * (count + 1)));
  ListCell* cell;
  foreach (cell, spec.result_columns) {
    const int i = foreach_current_index(cell);
    const TargetEntry* column = lfirst_node(TargetEntry, cell);
    encoder.names[i] = JsonName(column->resname);
    encoder.to_json[i] = PrepareToJson(column->expr);
  }
  expressions->ecxt_param_list_info = KeyParams(spec);
  encoder.expressions = expressions;
  encoder.bag = spec.bag;
  if (spec.bag) return encoder;
  Expr* key = KeyExpression(spec);
  encoder.key = MakeKeyEncoder(key);
  if (encoder.key.count == 0) encoder.whole_key = ExecInitExpr(key, nullptr);
  return encoder;
}

std::string_view KeyJson(const RowEncoder& encoder, TupleTableSlot* row, TupleTableSlot* result) {
  if (encoder.bag) return WholeRow(encoder, result);
  encoder.expressions->ecxt_scantuple = row;
  if (encoder.key.count > 0) return ArrayOf(encoder.key, encoder.expressions);
  bool is_null;
  const text* key = DatumGetTextPP(ExecEvalExpr(encoder.whole_key, encoder.expressions, &is_null));
  return {VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)};
}

void AppendColumnJson(const RowEncoder& encoder, TupleTableSlot* result, int column,
                      StringInfo out) {
  AppendValue(&encoder.to_json[column], result->tts_values[column], result->tts_isnull[column],
              out);
}

}  // namespace live_queries
