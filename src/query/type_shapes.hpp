// What the text of a value depends on besides the value: the attributes of composite types, and the
// labels of enums, which ALTER TYPE changes without touching a row.
// Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// The shapes of all composite types and enums that values of `expressions` may contain, as a list
// of String: one for each composite type, one for each label. For a QuerySpec.
List* TypeShapes(List* expressions);

// Whether `now` has all of `former`, and no more than further labels: values look as they did.
bool ShapesHold(List* former, List* now);

// Whether `shapes` are about the composite type with this relation, or (InvalidOid) about any enum.
bool ShapesConcern(List* shapes, Oid relation);

}  // namespace live_queries
