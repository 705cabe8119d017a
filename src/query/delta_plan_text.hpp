// A plan of the delta strategy as text, for shared memory: written by the backend that subscribes,
// read by the evaluator. Process: client backend, evaluator.
#pragma once

#include "pg/postgres.hpp"
#include "query/delta_plan.hpp"

namespace live_queries {

// In CurrentMemoryContext, both. Equal plans have equal texts.
char* DeltaPlanToText(const DeltaPlan& plan);
DeltaPlan DeltaPlanFromText(const char* text);

}  // namespace live_queries
