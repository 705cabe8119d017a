// From text to a query tree as the server would plan it: views and row security in their places.
// Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

struct Statement {
  Query* query;               // rewritten; its parameters are not bound
  List* param_values;         // Const
  bool params_read_catalogs;  // which values these are depends on more than their texts
};

// Reads `text`, one SELECT, with `params` (String, or nullptr for NULL), as the current role.
// Raises what is wrong with it as it stands: syntax, names, parameters (22023), clock in a literal
// (0A000). Nothing is evaluated but the input functions of parameters. Locks of its tables
// (AccessShareLock) stay until the end of the transaction.
Statement ReadStatement(const char* text, List* params);

}  // namespace live_queries
