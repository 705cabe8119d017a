// Where the columns of a template are in rows as they were written, and whether such rows are as
// the query was analysed. Used by the evaluation of changes. Process: decoder.
#pragma once

#include "decode/watched_tables.hpp"
#include "pg/postgres.hpp"
#include "query/spec.hpp"

extern "C" {
#include "utils/hsearch.h"
}

namespace live_queries {

struct ColumnMap {
  uint32 shape_number;                          // hash key
  bool fits;                                    // if not, the rows cannot be evaluated
  bool keeps_rows_apart;                        // likewise: no other row had the key of one
  bool knows_old_rows;                          // if not, inserts alone can be
  AttrNumber positions[FLEXIBLE_ARRAY_MEMBER];  // beside spec.columns, from 0
};

// The maps of one template, in a context of its own; zeroed at first.
struct ColumnMaps {
  HTAB* by_shape;
  uint32 generation;  // of the shapes
  const ColumnMap* last;
};

// The map for rows of `shape`, made if need be, in `context`. In a transaction.
const ColumnMap* MapFor(ColumnMaps* maps, MemoryContext context, const QuerySpec& spec,
                        const RowShape* shape);

}  // namespace live_queries
