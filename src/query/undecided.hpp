// What SQL leaves open in a query and nothing decides (query/open_answers.hpp). Process: client
// backend, evaluator.
#pragma once

namespace live_queries {

struct Undecided {
  const char* what;  // nullptr: nothing
  const char* cure;
};

}  // namespace live_queries
