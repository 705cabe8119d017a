// Encodes rows of results. Process: evaluator.
#include "evaluate/result_row.hpp"

#include "analyze/tree.hpp"

extern "C" {
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

void EncodeRoutes(const ResultEncoder& encoder, TupleTableSlot* row, EncodedRow* encoded) {
  Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * (encoder.route_count + 1)));
  bool* nulls = static_cast<bool*>(palloc(sizeof(bool) * (encoder.route_count + 1)));
  for (int i = 0; i < encoder.route_count; ++i) {
    values[i] = row->tts_values[encoder.routes[i] - 1];
    nulls[i] = row->tts_isnull[encoder.routes[i] - 1];
    if (!nulls[i] && encoder.route_lengths[i] == -1)
      values[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
  }
  encoded->routes = values;
  encoded->route_nulls = nulls;
}

}  // namespace

ResultEncoder MakeResultEncoder(const QuerySpec& spec, const DeltaPlan& plan, List* routing) {
  const int count = list_length(routing);
  ResultEncoder encoder = {};
  encoder.row = MakeRowEncoder(spec, CreateStandaloneExprContext());
  encoder.route_count = count;
  encoder.routes = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * (count + 1)));
  encoder.route_lengths = static_cast<int16*>(palloc(sizeof(int16) * (count + 1)));
  encoder.route_by_value = static_cast<bool*>(palloc(sizeof(bool) * (count + 1)));
  ListCell* cell;
  foreach (cell, routing) {
    const int i = foreach_current_index(cell);
    encoder.routes[i] = static_cast<AttrNumber>(lfirst_int(cell));
    const TargetEntry* target = get_tle_by_resno(plan.query->targetList, encoder.routes[i]);
    get_typlenbyval(exprType(AsNode(target->expr)), &encoder.route_lengths[i],
                    &encoder.route_by_value[i]);
  }
  return encoder;
}

EncodedRow EncodeColumns(const RowEncoder& encoder, TupleTableSlot* row) {
  slot_getallattrs(row);
  const int count = encoder.column_count;
  uint32* values = static_cast<uint32*>(palloc(sizeof(uint32) * (count + 1)));
  uint32* ends = static_cast<uint32*>(palloc(sizeof(uint32) * (count + 1)));
  StringInfoData out;
  initStringInfo(&out);
  appendStringInfoChar(&out, '{');
  for (int i = 0; i < count; ++i) {
    if (i > 0) appendStringInfoChar(&out, ',');
    StringInfoSink{&out}.Append(encoder.names[i]);
    values[i] = static_cast<uint32>(out.len);
    AppendColumnJson(encoder, row, i, &out);
    ends[i] = static_cast<uint32>(out.len);
  }
  appendStringInfoChar(&out, '}');
  EncodedRow encoded = {};
  encoded.row = View(out);
  encoded.values = values;
  encoded.ends = ends;
  encoded.columns = count;
  return encoded;
}

EncodedRow Encode(const ResultEncoder& encoder, TupleTableSlot* row) {
  EncodedRow encoded = EncodeColumns(encoder.row, row);
  encoded.key = KeyJson(encoder.row, row, row);
  EncodeRoutes(encoder, row, &encoded);
  return encoded;
}

}  // namespace live_queries
