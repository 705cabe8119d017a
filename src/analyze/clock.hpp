// What a query takes from the clock. Functions such as now() become a parameter of its evaluation.
// Texts such as 'today', which the input functions of the date/time types replace by the time at
// which they run, would make it another query whenever it is analysed: they are refused, as is what
// tells of the transaction. Process: client backend, decoder, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
#include "nodes/parsenodes.h"
}

namespace live_queries {

// The time, in a query that asks for it: PARAM_EXTERN, timestamptz.
inline constexpr int kClockParam = 1;

// Raises 0A000 if `tree`, of expressions or a query, calls functions of the time or the
// transaction, or reads a date/time from the text of a column.
void RequireNoClock(Node* tree);
// The same, but for what ParameterizeClock replaces, or will once functions are inlined.
void RequirePlainClock(Node* tree);

// `tree` with that parameter in the place of now(), current_date and their like, so that all of
// them tell one time, whenever and wherever it is evaluated.
Node* ParameterizeClock(Node* tree);
bool IsClockParam(const Node* node);
// Whether the parameter is in it.
bool AsksClock(const Node* tree);
inline bool AsksClock(const Query* query) {
  return AsksClock(reinterpret_cast<const Node*>(query));
}
// `tree` with a time in the parameter's place.
Node* SetClock(Node* tree, TimestampTz time);

// A literal of `statement` that has become a date/time of the clock in `query`; nullptr: none has.
const char* ClockLiteral(RawStmt* statement, Query* query);

// Raises 0A000 if `literal`, found by ClockLiteral in the body of `function`, is not nullptr.
void RequireNoClockInBody(const char* literal, Oid function);

// Raises 0A000 if `text`, parameter `number`, is a date/time of the clock as a value of `type`.
void RequireNoClockInParam(int number, const char* text, Oid type);

// Raises 0A000 if `expression`, which is about to be evaluated, reads a text as a date/time and
// that is one of the clock.
void RequireNoClockTexts(Node* expression);

}  // namespace live_queries
