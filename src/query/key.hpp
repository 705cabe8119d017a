// What names a row in messages and in the first result: the values of the key's columns as a JSON
// array, the same expression for both. Values that differ look different there. A key that its role
// may not see (query/own_rights.hpp) is opaque: a digest of that array under a secret of the query,
// the same as long as the server runs. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"
#include "query/spec.hpp"

extern "C" {
#include "nodes/params.h"
}

namespace live_queries {

// Raises 0A000, or 22023 if a setting is to blame, where different values of a column in `key` may
// have one text.
void RequireDistinctTexts(Oid relation, List* key);
void RequireDistinctText(const char* column, Oid type);

// What names the query of `spec` among those of its role, for QuerySpec::opaque_key: whatever the
// constants of its routing conditions are, of which no two have a row in common.
char* NameForSecret(const QuerySpec& spec);

// The key as an expression of type json over the columns of `spec`, or the result columns of a bag.
Expr* KeyExpression(const QuerySpec& spec);

// The same over columns (Var) of any rows.
Expr* KeyOfColumns(List* columns);

// What that expression needs to be evaluated for the current role: the secret of an opaque key, as
// a parameter, which no plan shows and no log; nullptr for others.
ParamListInfo KeyParams(const QuerySpec& spec);

}  // namespace live_queries
