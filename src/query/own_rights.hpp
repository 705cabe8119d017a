// What the current role could read of a table itself, beside what the query gives it with the
// rights of a view's owner. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/bitmapset.h"
}

namespace live_queries {

// A table as the query reads it.
struct ReadTable {
  Oid relation;
  Oid as_role;         // whose rights and row security hold; InvalidOid: the current role's
  Bitmapset* columns;  // that the query uses; 0: all
};

// Why the role could not find out for itself the `key` (attribute numbers) of a row of the query,
// for people; nullptr if it could.
const char* WhyKeyIsHidden(const ReadTable& table, List* key);

// Whether the role itself may read all columns but those in `known`.
bool MayReadAllBut(Oid relation, const Bitmapset* known);

}  // namespace live_queries
