// What the text of a value depends on besides the value, and changes without touching a row: the
// attributes of composite types, the labels of enums, casts to JSON; and what decides whether there
// is a value, the constraints of domains. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// The shapes of all users' types that values in `tree` may contain, and of the domains that
// they become, as a list of String: one for each composite type, label, cast, domain. For a
// QuerySpec.
List* TypeShapes(Node* tree);

// Whether `now` has all of `former`, and no more than further labels: values look as they did.
bool ShapesHold(List* former, List* now);

}  // namespace live_queries
