// Tests of model/gather_common.hpp.
#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "check.hpp"
#include "model/gather_common.hpp"

namespace live_queries {
namespace {

using Numbers = std::vector<int>;

size_t Gather(Numbers* first, Numbers* second) {
  return GatherCommon(std::span<int>(*first), std::span<int>(*second));
}

TEST(WhatBothHaveComesFirst) {
  Numbers before = {1, 3, 5, 7};
  Numbers after = {2, 3, 7, 8, 9};
  CHECK_EQ(Gather(&before, &after), size_t{2});
  CHECK(before == (Numbers{3, 7, 5, 1}));
  CHECK(after == (Numbers{3, 7, 2, 8, 9}));
}

TEST(OneRouteStaysOrIsExchanged) {
  Numbers before = {1};
  Numbers after = {1};
  CHECK_EQ(Gather(&before, &after), size_t{1});
  after = {2};
  CHECK_EQ(Gather(&before, &after), size_t{0});
  after = {};
  CHECK_EQ(Gather(&before, &after), size_t{0});
}

TEST(NothingIsLostNorDoubled) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::set<int> first, second;
    const int range = 1 + static_cast<int>(random() % 12);
    for (size_t n = random() % 8; n > 0; --n) first.insert(static_cast<int>(random()) % range);
    for (size_t n = random() % 8; n > 0; --n) second.insert(static_cast<int>(random()) % range);
    Numbers common;
    std::ranges::set_intersection(first, second, std::back_inserter(common));
    Numbers before(first.begin(), first.end());
    Numbers after(second.begin(), second.end());
    const size_t count = Gather(&before, &after);
    CHECK(Numbers(before.begin(), before.begin() + static_cast<long>(count)) == common);
    CHECK(Numbers(after.begin(), after.begin() + static_cast<long>(count)) == common);
    CHECK(std::set<int>(before.begin(), before.end()) == first);
    CHECK(std::set<int>(after.begin(), after.end()) == second);
  }
}

}  // namespace
}  // namespace live_queries
