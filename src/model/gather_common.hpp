// What two sorted lists have in common, as the routes of an old and of a new row. Used by the
// stream's evaluation. Pure.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <utility>

namespace live_queries {

// Moves what both have to the front of either, and returns how many that are. Both are sorted and
// have nothing twice; what follows the common part is in any order then.
template <class T>
size_t GatherCommon(std::span<T> first, std::span<T> second) {
  size_t common = 0;
  for (size_t i = 0, k = 0; i < first.size() && k < second.size();) {
    if (std::less<T>()(first[i], second[k])) {
      ++i;
    } else if (std::less<T>()(second[k], first[i])) {
      ++k;
    } else {
      // What comes to i and k has been passed already.
      std::swap(first[i++], first[common]);
      std::swap(second[k++], second[common]);
      ++common;
    }
  }
  return common;
}

}  // namespace live_queries
