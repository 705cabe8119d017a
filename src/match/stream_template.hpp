// What the stream strategy adds to a template: its expressions, prepared to be evaluated on decoded
// rows, and which changes those are at the time. Process: decoder.
#pragma once

#include "match/column_map.hpp"
#include "template/route_set.hpp"
#include "template/row_encoder.hpp"
#include "template/template.hpp"

namespace live_queries {

// So many changes are taken apart at one time and shown to one template after the other.
inline constexpr int kPieceChanges = 256;
static_assert(kPieceChanges <= UINT8_MAX + 1);

struct StreamTemplate : StrategyPart {
  Template* common;
  // Changes of the present piece that are about its tables.
  uint8 piece[kPieceChanges];
  int piece_count;
  // The rest is nothing before it is compiled.
  bool compiled;
  ExprContext* expressions;
  TupleTableSlot* old_row;
  TupleTableSlot* new_row;
  RouteSet old_routes;
  RouteSet new_routes;
  ExprState* barrier_quals;
  ExprState* quals;
  ProjectionInfo* old_result;
  ProjectionInfo* new_result;
  RowEncoder encoder;
  bool* column_in_identity;  // beside the result columns: computable from the replica identity
  bool shows_identity_only;  // true of all of them, and not since the whole old row is logged
  ColumnMaps maps;
};

// The part of a template, made if need be.
StreamTemplate* StreamPartOf(Template* common);

// Compiles the expressions, within the template's guard.
void Compile(StreamTemplate* stream);

}  // namespace live_queries
