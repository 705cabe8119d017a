// One change on one template: who of its subscriptions sees what. Process: decoder.
#pragma once

#include "decode/change_batch.hpp"
#include "template/template.hpp"

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
struct Touched {
  Route* first;
  bool long_bodies;  // one is long enough to be sent
  uint64 matched;
};

// Who is to blame if the expressions that run now raise an error, or do not end.
struct Culprit {
  Template* owner;  // nullptr: no user expression is running
  Route* route;     // nullptr: all of the owner's
  bool routing;     // a row that nobody may have is being looked up: the error may tell of it
  bool lost_value;  // a value left in TOAST is gone: not an error of the expression
};
extern Culprit culprit;

// Begins to measure how long the expressions of each route take. Where the time of a template is
// over, the one that runs may be the last straw: who took longest since is to blame, or nullptr.
void BeginRouteTimes();
Route* SlowestRoute();

// Evaluates an insert, update or delete; as the template's role, in a transaction. Returns nullptr,
// or why that is impossible, so that the template's subscriptions must be reset.
const char* Evaluate(Template* one, DecodedChange* decoded, Touched* touched);

// Adds "all rows left" to every route.
void EvaluateClear(Template* one, Touched* touched);

}  // namespace live_queries
