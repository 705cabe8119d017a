// What a STABLE expression reads besides its arguments, which decides whether its value is kept.
// Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// In ascending order: an expression reads the highest that one of its functions reads.
enum class ValueSource : uint8_t {
  kArguments,  // or settings that are captured: always the same value
  kSession,    // of the client: its value is kept
  kRoles,      // roles, memberships, schemas: whatever concerns these is a reason to analyse again
  kCatalogs,   // any catalog, or what nobody knows: evaluated again whenever one has changed
};

// Of a function. One that is not IMMUTABLE reads catalogs, unless it is known to do less.
ValueSource SourceOf(Oid function);

// Of an expression, whose functions are not VOLATILE.
ValueSource SourceOf(Node* expression);

// Whether the text of `value`, or of a part of it, is the name of what it refers to, as of regclass
// or aclitem: it changes with a catalog and not with the value.
bool ShowsNames(Node* value);

// Whether `node`, with a function that takes its source from its arguments, makes text of such a
// value, or such a value of a text.
bool ConvertsNames(Node* node);

}  // namespace live_queries
