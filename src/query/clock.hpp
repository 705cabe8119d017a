// What a query takes from the clock: functions such as now(), and texts such as 'today', which the
// input functions of the date/time types replace by the time at which they run. It would be another
// query whenever it is analysed, so it is refused. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

// Raises 0A000 if `tree`, of expressions or a query, calls functions of the time or the
// transaction, or reads a date/time from the text of a column.
void RequireNoClock(Node* tree);

// Raises 0A000 if a literal of `statement` has become a date/time of the clock in `query`.
void RequireNoClockInLiterals(RawStmt* statement, Query* query);

// Raises 0A000 if `text`, parameter `number`, is a date/time of the clock as a value of `type`.
void RequireNoClockInParam(int number, const char* text, Oid type);

// Raises 0A000 if `expression`, which is about to be evaluated, reads a text as a date/time and
// that is one of the clock.
void RequireNoClockTexts(Node* expression);

}  // namespace live_queries
