// Where the rows of a table are. What a snapshot shows of one that was moved into another file is
// nobody's state: both strategies look for that. Process: decoder, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "catalog/pg_class.h"
}

namespace live_queries {

// And whether changes of them are logged.
struct TableStorage {
  Oid tablespace;
  Oid file;
  char persistence;

  bool operator==(const TableStorage&) const = default;
};

TableStorage StorageOf(const FormData_pg_class& row);
// As the catalogs have it now; none of a table that is gone. In a transaction.
TableStorage StorageNow(Oid relation);

}  // namespace live_queries
