// An evaluator of one database: keeps results live that one changed row alone does not tell, by
// reading them at two snapshots (evaluate/README.md). Process: evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
PGDLLEXPORT void live_queries_evaluator_main(Datum argument);
}
