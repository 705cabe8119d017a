// Which of some numbers, in the order in which they stand, rise: the most that can be kept. By the
// piles of patience sorting. Pure.
#pragma once

namespace live_queries {

// Sets `kept` for the numbers of a longest strictly rising part of `numbers`; the others stay as
// they are. `ends` and `former` have room for `count` numbers each.
inline void MarkLongestRise(const int* numbers, int count, int* ends, int* former, bool* kept) {
  int length = 0;  // of the longest so far; ends[i]: which number ends the best one of i + 1
  for (int i = 0; i < count; ++i) {
    int low = 0;
    int high = length;
    while (low < high) {
      const int middle = low + (high - low) / 2;
      if (numbers[ends[middle]] < numbers[i])
        low = middle + 1;
      else
        high = middle;
    }
    former[i] = low == 0 ? -1 : ends[low - 1];
    ends[low] = i;
    if (low == length) ++length;
  }
  for (int i = length == 0 ? -1 : ends[length - 1]; i >= 0; i = former[i]) kept[i] = true;
}

}  // namespace live_queries
