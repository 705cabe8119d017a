// Which templates a changed row may be for. Those of one group of a table are looked up in a hash,
// by what the old row and the new one have in its columns (template/routing_group.hpp); the others
// are asked themselves. Called by matcher.cpp for each change. Process: decoder.
#pragma once

#include "match/evaluate.hpp"
#include "template/template.hpp"

namespace live_queries {

// Visits those that an insert, update or delete may be for; one may be visited twice. Takes the
// rows apart, in CurrentMemoryContext, if need be. In a transaction.
void ForEachConcerned(DecodedChange* decoded, void (*visit)(Template*, void*), void* context);

template <class Visit>
void ForEachConcerned(DecodedChange* decoded, Visit&& visit) {
  ForEachConcerned(
      decoded,
      [](Template* common, void* body) {
        (*static_cast<std::remove_reference_t<Visit>*>(body))(common);
      },
      &visit);
}

}  // namespace live_queries
