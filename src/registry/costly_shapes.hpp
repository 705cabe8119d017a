// The shapes of live queries that take so long to evaluate that the others of an evaluator would
// wait for them. Workers note them; who subscribes to one then has it evaluated apart, by a
// refresher (client/consumer_choice.cpp). That is forgotten after a while: there may be an index
// by then. Process: any.
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
  Atomic<uint32_t> noted;  // shapes of all times: beyond the entries, in place of the oldest
};

// At no shape.
void InitCostlyShapes(CostlyShapesShared* shapes);

// Without it, nobody has to be asked about.
inline bool HasCostlyShapes(const CostlyShapesShared& shapes) { return shapes.noted.Load() > 0; }
// `spec`: DefinitionField::kSpec.
bool IsCostly(const CostlyShapesShared& shapes, std::string_view spec);
// For a while, from now on. Two evaluators at one moment may enter it twice.
void NoteCostly(CostlyShapesShared* shapes, std::string_view spec);

}  // namespace live_queries
