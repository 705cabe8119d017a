// One change on one template: which of its routes see what of it. Called by matcher.cpp for each
// template of the change's table. Process: decoder.
#pragma once

#include "decode/change_batch.hpp"
#include "match/stream_template.hpp"
#include "template/route_body.hpp"

namespace live_queries {

// A change with its rows taken apart, once for all templates.
struct DecodedRow {
  bool present;
  Datum* values;  // by the columns of the shape
  bool* nulls;
};
struct DecodedChange {
  Change change;
  bool taken_apart;
  DecodedRow old_row;
  DecodedRow new_row;
};

// Takes the rows apart, in CurrentMemoryContext; a column that an update left in TOAST is taken
// from the old row where that is complete.
void TakeApart(DecodedChange* decoded);

// What an evaluation adds to: the routes touched by the running transaction.
struct Touched : TouchedRoutes {
  uint64 matched;
};

// Evaluates an insert, update or delete on what is compiled; within the template's guard. Returns
// nullptr, or why that is impossible, so that the template's subscriptions must be reset.
const char* Evaluate(StreamTemplate* stream, DecodedChange* decoded, Touched* touched);

// Adds "all rows left" to every route.
void EvaluateClear(Template* common, Touched* touched);

}  // namespace live_queries
