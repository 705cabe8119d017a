// Checks again what subscribe checked: privileges, row security and the definitions of all that a
// live query names. Called by worker/evaluation.cpp after catalogs have changed. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "template/template.hpp"

namespace live_queries {

// Checks all templates that catalog changes may concern. Each subscription goes on as it is, or is
// reset because its rows may differ, or is terminated with the error that subscribing would raise
// now. In a transaction.
void CheckChangedDefinitions();

}  // namespace live_queries
