// Rows of no named type, as constants: what their fields are is known by a number that means
// something in the process alone that made them. Process: client backend, worker.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/primnodes.h"
}

namespace live_queries {

// A copy of `tree` that is understood in any process: such rows are made of their fields. Raises
// 0A000 for arrays of them.
Node* WithoutConstantRows(Node* tree);

}  // namespace live_queries
