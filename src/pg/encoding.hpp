// Texts of one database, shown in another that may have another encoding. Process: client backend.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// The encoding of a database; PG_SQL_ASCII, which says nothing of the bytes, if it was dropped.
int EncodingOfDatabase(Oid database);

// `text`, but each byte that is part of no character of `encoding` is '?'. May return `text`.
const char* ValidText(const char* text, int encoding);

// `text`, written in `encoding`, in that of whoever reads it here: converted, with '?' for what
// that cannot show. PG_SQL_ASCII: nobody knows which encoding it was, as in names of roles and
// databases. Never raises an error for what is in it. May return `text` (or nullptr for nullptr),
// or else something in CurrentMemoryContext.
const char* ReadableText(const char* text, int encoding);

}  // namespace live_queries
