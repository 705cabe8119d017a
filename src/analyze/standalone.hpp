// Expressions that have a value by themselves, without a row or anything else around them. For
// frozen_values.cpp and clock.cpp, which need it. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/primnodes.h"
}

namespace live_queries {

// Whether the value of `expression`, or of a part of it, comes from what stands around it: a row, a
// group, a sub-select.
bool NeedsSurroundings(Node* expression);

// The value of one that does not, evaluated as the current role. May raise what it raises.
Const* EvaluateAlone(Node* expression);

// The type's own text of a value that is not NULL.
char* TextOfValue(const Const& value);

}  // namespace live_queries
