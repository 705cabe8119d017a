// What a condition by a pattern asks a text to begin with: LIKE and ^@. Process: client backend,
// decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Whether `function`, of a text and a pattern, is that of LIKE or of ^@.
bool TakesPattern(Oid function);

// What each text begins with of which such a function holds, with that pattern, in
// CurrentMemoryContext. nullptr: nothing, or the pattern is an error.
text* PrefixOf(Oid function, Datum pattern);

// The least text beyond all that begin with `prefix`, by bytes, which need not make sense in the
// database's encoding. In CurrentMemoryContext. nullptr: there is none.
text* BeyondPrefix(const text* prefix);

}  // namespace live_queries
