// One aggregate whose state takes rows in and out again. Process: evaluator.
#pragma once

#include "delta/moving_groups.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// What is called for it.
struct MovingAggregate {
  const MovingInput* input;
  int argument_count;
  int final_argument_count;
  Oid function;
  Oid transition_oid;
  Oid inverse_oid;  // InvalidOid: it is an extreme
  Oid final_oid;    // InvalidOid: the state is the result
  FmgrInfo transition;
  FmgrInfo inverse;
  FmgrInfo comparison;  // of an extreme
  FmgrInfo final;
  Oid collation;
  int16 state_length;
  bool state_by_value;
  bool state_has_memory;  // of its own, beside a value that is passed by itself
  Datum initial;
  bool initial_is_null;
  Node* caller;  // what the functions take for a window's node
};

// Its state over some rows.
struct MovingState {
  MemoryContext context;  // nullptr: it needs none
  Datum value;
  bool is_null;
  int64 count;  // of the rows in it
};

// In CurrentMemoryContext.
MovingAggregate MakeMovingAggregate(const MovingInput* input);

// Raises 42501 where the current role may not call it, as its execution would.
void CheckMayCall(const MovingAggregate& aggregate);

// Over no rows, in `context`.
void BeginState(const MovingAggregate& aggregate, MemoryContext context, MovingState* state);
void ResetState(const MovingAggregate& aggregate, MovingState* state);

// Takes a row in, whose columns are those of the queries of MovingGroups. CurrentMemoryContext is
// for what is forgotten after it, as in the next.
void TakeIn(const MovingAggregate& aggregate, const Datum* row, const bool* nulls,
            MovingState* state);

// Takes one out that is in it. Returns false where that cannot be: the state is of no use then.
bool TakeOut(const MovingAggregate& aggregate, const Datum* row, const bool* nulls,
             MovingState* state);

// The result, in CurrentMemoryContext or the state.
Datum ResultOf(const MovingAggregate& aggregate, const MovingState& state, bool* is_null);

}  // namespace live_queries
