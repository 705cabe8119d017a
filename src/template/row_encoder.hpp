// How the rows of a result become the JSON of messages: of key, row and former values, whichever
// strategy has found them. Process: decoder, evaluator, client backend.
#pragma once

#include <string_view>

#include "pg/memory.hpp"
#include "pg/postgres.hpp"
#include "query/spec.hpp"
#include "template/to_json.hpp"

extern "C" {
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
}

namespace live_queries {

// Of json_build_array: each of its values by itself.
struct KeyEncoder {
  int count;
  ExprState** values;
  ToJson* to_json;
};

struct RowEncoder {
  int column_count;          // of the result; a row may have more
  std::string_view* names;   // of the result columns: `"name":`
  ToJson* to_json;           // beside those
  bool bag;                  // the key is the whole row
  KeyEncoder key;            // otherwise; of no values if it is none of this form
  ExprState* whole_key;      // then
  ExprContext* expressions;  // of either
};

// For the result of `spec`. In CurrentMemoryContext; `expressions` as well, with the parameters of
// the key.
RowEncoder MakeRowEncoder(const QuerySpec& spec, ExprContext* expressions);

// The key of a row, as that of the first result is: a JSON array. `row` has the table's columns,
// `result` those of the result. In CurrentMemoryContext, as all the following.
std::string_view KeyJson(const RowEncoder& encoder, TupleTableSlot* row, TupleTableSlot* result);

void AppendColumnJson(const RowEncoder& encoder, TupleTableSlot* result, int column,
                      StringInfo out);

// The row as row_to_json gives it, of those columns alone for which `wanted` holds.
template <class Wanted>
std::string_view RowJson(const RowEncoder& encoder, TupleTableSlot* result, Wanted&& wanted) {
  StringInfoData out;
  initStringInfo(&out);
  appendStringInfoChar(&out, '{');
  for (int i = 0; i < encoder.column_count; ++i) {
    if (!wanted(i)) continue;
    if (out.len > 1) appendStringInfoChar(&out, ',');
    StringInfoSink{&out}.Append(encoder.names[i]);
    AppendColumnJson(encoder, result, i, &out);
  }
  appendStringInfoChar(&out, '}');
  return View(out);
}

inline std::string_view RowJson(const RowEncoder& encoder, TupleTableSlot* result) {
  return RowJson(encoder, result, [](int) { return true; });
}

}  // namespace live_queries
