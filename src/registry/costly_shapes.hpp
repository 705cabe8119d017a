// The shapes of live queries that take so long to evaluate that the others of an evaluator would
// wait for them. Evaluators note them; who subscribes to one then has it evaluated apart, by a
// refresher (client/subscribing.cpp). That is forgotten after a while: there may be an index now.
// Process: any.
#pragma once

#include "pg/atomic.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace live_queries {

struct CostlyShapesShared {
  struct Entry {
    Atomic<uint64_t> shape;  // its hash
    Atomic<TimestampTz> until;
  };

  Entry entries[64];
  Atomic<uint32_t> noted;  // of all times; beyond the entries, in place of the oldest
};

// At no shape.
void InitCostlyShapes(CostlyShapesShared* shapes);

// Without it, nobody has to be asked about.
inline bool HasCostlyShapes(const CostlyShapesShared& shapes) { return shapes.noted.Load() > 0; }
// `spec`: DefinitionField::kSpec.
bool IsCostly(const CostlyShapesShared& shapes, std::string_view spec);
// By one evaluator, or several: then it is there twice.
void NoteCostly(CostlyShapesShared* shapes, std::string_view spec);

}  // namespace live_queries
