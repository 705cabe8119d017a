// What SQL leaves open in a query and nothing decides (delta/open_answers.hpp). Process: client
// backend, evaluator.
#pragma once

namespace live_queries {

struct Undecided {
  const char* what;  // nullptr: nothing
  const char* cure;
};

inline constexpr char kCastCure[] = "Cast the values to a type such as numeric(10,2), or text.";

// The first that is found stays.
inline void Note(Undecided* undecided, const char* what, const char* cure) {
  if (undecided->what == nullptr) *undecided = {what, cure};
}

}  // namespace live_queries
