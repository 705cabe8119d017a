// How the rows that a plan's queries return become what subscribers get: key, row and routing
// values. Process: evaluator.
#pragma once

#include "delta/delta_plan.hpp"
#include "evaluate/difference.hpp"
#include "pg/postgres.hpp"
#include "template/row_encoder.hpp"

namespace live_queries {

struct ResultEncoder {
  RowEncoder row;
  int route_count;
  AttrNumber* routes;  // numbers of result columns
  int16* route_lengths;
  bool* route_by_value;
};

// In CurrentMemoryContext, for rows of `plan`, whose result `spec` describes. `routing`: numbers of
// the result columns, hidden ones mostly, that say who gets a row.
ResultEncoder MakeResultEncoder(const QuerySpec& spec, const DeltaPlan& plan, List* routing);

// In CurrentMemoryContext, as the next.
EncodedRow Encode(const ResultEncoder& encoder, TupleTableSlot* row);

// The row alone, whose result columns are the first ones of `row`: neither key nor routing values.
EncodedRow EncodeColumns(const RowEncoder& encoder, TupleTableSlot* row);

}  // namespace live_queries
