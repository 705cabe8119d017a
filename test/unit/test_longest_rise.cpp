// Tests of model/longest_rise.hpp.
#include <algorithm>
#include <random>
#include <vector>

#include "check.hpp"
#include "model/longest_rise.hpp"

namespace live_queries {
namespace {

// What is kept of `numbers`.
std::vector<int> Kept(const std::vector<int>& numbers) {
  const size_t count = numbers.size();
  std::vector<int> ends(count + 1), former(count + 1);
  bool kept[64] = {};
  MarkLongestRise(numbers.data(), static_cast<int>(count), ends.data(), former.data(), kept);
  std::vector<int> found;
  for (size_t i = 0; i < count; ++i)
    if (kept[i]) found.push_back(numbers[i]);
  return found;
}

// By trying all ways.
size_t Longest(const std::vector<int>& numbers, size_t from, int above) {
  if (from == numbers.size()) return 0;
  const size_t without = Longest(numbers, from + 1, above);
  if (numbers[from] <= above) return without;
  return std::max(without, 1 + Longest(numbers, from + 1, numbers[from]));
}

TEST(WhatRisesIsKept) {
  CHECK(Kept({}).empty());
  CHECK(Kept({1, 2, 3}) == (std::vector<int>{1, 2, 3}));
  CHECK_EQ(Kept({3, 2, 1}).size(), size_t{1});
  CHECK(Kept({4, 1, 2, 3}) == (std::vector<int>{1, 2, 3}));
  CHECK(Kept({2, 3, 4, 1}) == (std::vector<int>{2, 3, 4}));
}

TEST(NoMoreCanBeKept) {
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::vector<int> numbers(random() % 11);
    for (int& number : numbers) number = static_cast<int>(random() % 12);
    const std::vector<int> kept = Kept(numbers);
    CHECK(std::adjacent_find(kept.begin(), kept.end(), std::greater_equal<>()) == kept.end());
    CHECK_EQ(kept.size(), Longest(numbers, 0, -1));
  }
}

}  // namespace
}  // namespace live_queries
