// What SQL leaves open in a query (delta/open_answers.hpp): how it is decided, or that nothing
// decides it. Process: client backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/pg_list.h"
#include "nodes/value.h"
}

namespace live_queries {

struct Decisions {
  List* made;        // String: each once, to be shown
  const char* open;  // nullptr: nothing; or what nothing decides
  const char* cure;
};

inline constexpr char kCastCure[] = "Cast the values to a type such as numeric(10,2), or text.";

inline void Decide(Decisions* decisions, const char* how) {
  decisions->made = list_append_unique(decisions->made, makeString(pstrdup(how)));
}

// The first that is found stays.
inline void LeaveOpen(Decisions* decisions, const char* what, const char* cure) {
  if (decisions->open != nullptr) return;
  decisions->open = what;
  decisions->cure = cure;
}

}  // namespace live_queries
