// Tests of model/interval_index.hpp.
#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <numeric>
#include <random>
#include <string_view>
#include <vector>

#include "check.hpp"
#include "interval_world.hpp"
#include "model/interval_index.hpp"

namespace live_queries {
namespace {

constexpr BoundKind kUnbounded = BoundKind::kUnbounded;
constexpr BoundKind kInclusive = BoundKind::kInclusive;
constexpr BoundKind kExclusive = BoundKind::kExclusive;

#ifdef LIVE_QUERIES_SHORT_TESTS
constexpr int kMany = 5000;
constexpr int kSeeds = 3;
#else
constexpr int kMany = 100000;
constexpr int kSeeds = 20;
#endif

void CheckSound(IntervalWorld& world) {
  const char* wrong = world.Wrong();
  CHECK_EQ(std::string_view(wrong == nullptr ? "" : wrong), std::string_view());
}

void InsertAll(IntervalWorld& world) {
  for (Numbered& interval : world.intervals) CHECK(world.Insert(&interval));
}

std::vector<int> Shuffled(int count, unsigned seed) {
  std::vector<int> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937(seed));
  return numbers;
}

// Of the values 1 to 5, those that the interval from 2 to 4 contains, as a number.
int Contained(BoundKind low, BoundKind high) {
  IntervalWorld world(1);
  CHECK(world.Insert(&world.Set(0, low, 2, high, 4)));
  int digits = 0;
  for (int value = 1; value <= 5; ++value) {
    CHECK(world.Find(value));
    if (!world.found.empty()) digits = digits * 10 + value;
  }
  return digits;
}

TEST(AnIntervalContainsWhatItsEndsSay) {
  CHECK_EQ(Contained(kInclusive, kInclusive), 234);
  CHECK_EQ(Contained(kInclusive, kExclusive), 23);
  CHECK_EQ(Contained(kExclusive, kInclusive), 34);
  CHECK_EQ(Contained(kExclusive, kExclusive), 3);
  CHECK_EQ(Contained(kUnbounded, kInclusive), 1234);
  CHECK_EQ(Contained(kUnbounded, kExclusive), 123);
  CHECK_EQ(Contained(kInclusive, kUnbounded), 2345);
  CHECK_EQ(Contained(kExclusive, kUnbounded), 345);
  CHECK_EQ(Contained(kUnbounded, kUnbounded), 12345);
}

TEST(AnEmptyIntervalIsNeverFound) {
  IntervalWorld world(6);
  world.Set(0, kInclusive, 4, kInclusive, 2);
  world.Set(1, kInclusive, 3, kExclusive, 3);
  world.Set(2, kExclusive, 3, kInclusive, 3);
  world.Set(3, kExclusive, 3, kExclusive, 3);
  world.Set(4, kExclusive, 4, kExclusive, 2);
  world.Set(5, kInclusive, 3, kInclusive, 3);
  InsertAll(world);
  CheckSound(world);
  for (int value = 1; value <= 5; ++value) {
    CHECK(world.Find(value));
    CHECK(value == 3 ? world.found == std::vector<int>{5} : world.found.empty());
  }
  for (Numbered& interval : world.intervals) world.Remove(&interval);
  world.Remove(&world.intervals[0]);
  CheckSound(world);
}

TEST(ZeroedMemoryIsAnEmptyIndexAndAnIntervalWithoutBounds) {
  alignas(Numbered) unsigned char interval_bytes[sizeof(Numbered)] = {};
  alignas(IntervalIndex<Numbered>) unsigned char index_bytes[sizeof(IntervalIndex<Numbered>)] = {};
  auto* interval = std::launder(reinterpret_cast<Numbered*>(interval_bytes));
  auto* index = std::launder(reinterpret_cast<IntervalIndex<Numbered>*>(index_bytes));
  Comparisons comparisons;
  int found = 0;
  const auto count = [&](Numbered&) { ++found; };
  IntervalBlock<int> block;
  bool released = false;
  const auto release = [&](IntervalBlock<int>* one) { released = one == &block; };
  index->Remove(interval, release);
  index->ForEachContaining(1, 1, Comparing{&comparisons}, count);
  CHECK_EQ(found, 0);
  index->Insert(interval, Comparing{&comparisons}, [&] { return &block; });
  index->ForEachContaining(1, 1, Comparing{&comparisons}, count);
  CHECK_EQ(found, 1);
  CHECK_EQ(comparisons.count, size_t{0});
  index->Remove(interval, release);
  CHECK(released);
}

TEST(WhatKeysTellApartIsNotCompared) {
  IntervalWorld world(kMany / 10, Keys::kAll);
  for (int i = 0; i < kMany / 10; ++i)
    world.Set(static_cast<size_t>(i), kInclusive, 10 * i, kExclusive, 10 * i + 5);
  InsertAll(world);
  CheckSound(world);
  CHECK_EQ(world.comparisons.count, size_t{0});
  for (int value = 1; value < kMany; value += kMany / 100 + 1) {
    world.comparisons.count = 0;
    CHECK(world.FindsAll(value));
    // Equal ones are, once at each level.
    CHECK(world.comparisons.count <= (value % 5 == 0 ? 12 : 0));
  }
}

TEST(AValueMayBeOfAnotherType) {
  IntervalWorld world(2, Keys::kNone);
  world.Set(0, kInclusive, 1, kExclusive, 2);
  world.Set(1, kExclusive, 2, kUnbounded, 0);
  InsertAll(world);
  int sum = 0;
  const auto compare = [](int a, double b) { return a < b ? -1 : a > b; };
  for (const double value : {0.5, 1.5, 2.0, 2.5})
    world.index.ForEachContaining(value, 0, compare,
                                  [&](const Numbered& one) { sum = sum * 10 + one.number + 1; });
  CHECK_EQ(sum, 12);
}

// So many comparisons may a search among kMany intervals take, one for each halving; in a block as
// many as its capacity asks for.
size_t Most() { return std::bit_width(size_t{2} * kMany) * 7 / 4 + 1; }

// Inserts those of the world in this order and looks for some values that `hits(value)` contain.
template <class Hits>
void CheckCost(IntervalWorld& world, const std::vector<int>& order, const Hits& hits) {
  for (const int number : order) {
    world.comparisons.count = 0;
    CHECK(world.Insert(&world.intervals[static_cast<size_t>(number)]));
    CHECK(world.comparisons.count <= 1 + 2 * Most());
  }
  CheckSound(world);
  for (int i = 0; i < 40; ++i) {
    // Both ends of the values, too, where few are found.
    const int value = i < 10 ? i : i < 20 ? 2 * kMany - i : kMany / 10 * (i - 20) + i % 2;
    world.comparisons.count = 0;
    CHECK(world.FindsAll(value));
    CHECK_EQ(world.found.size(), static_cast<size_t>(hits(value)));
    CHECK(world.comparisons.count <= Most());
  }
}

// For each of several orders of insertion, fill(interval number) sets it.
template <class Fill, class Hits>
void CheckCosts(const Fill& fill, const Hits& hits) {
  std::vector<int> order = Shuffled(kMany, 1);
  for (int i = 0; i < 3; ++i) {
    IntervalWorld world(kMany, i == 0 ? Keys::kSome : i == 1 ? Keys::kNone : Keys::kAll);
    for (int k = 0; k < kMany; ++k) fill(world, k);
    CheckCost(world, order, hits);
    std::sort(order.begin(), order.end());
    if (i == 1) std::reverse(order.begin(), order.end());
  }
}

TEST(DisjointIntervalsCostALogarithm) {
  CheckCosts([](IntervalWorld& world,
                int i) { world.Set(static_cast<size_t>(i), kInclusive, 2 * i, kInclusive, 2 * i); },
             [](int value) { return value % 2 == 0 && value < 2 * kMany; });
}

TEST(IntervalsWithoutALowEndCostALogarithmAndTheirHits) {
  CheckCosts([](IntervalWorld& world,
                int i) { world.Set(static_cast<size_t>(i), kUnbounded, 0, kExclusive, 2 * i); },
             [](int value) { return std::max(0, kMany - 1 - value / 2); });
}

TEST(IntervalsWithoutAHighEndCostALogarithmAndTheirHits) {
  CheckCosts([](IntervalWorld& world,
                int i) { world.Set(static_cast<size_t>(i), kExclusive, 2 * i, kUnbounded, 0); },
             [](int value) { return std::min(kMany, (value + 1) / 2); });
}

TEST(NestedIntervalsCostALogarithmAndTheirHits) {
  CheckCosts(
      [](IntervalWorld& world, int i) {
        world.Set(static_cast<size_t>(i), kInclusive, i, kInclusive, 2 * kMany - i);
      },
      [](int value) {
        return std::min({kMany, value + 1, 2 * kMany - value + 1});
      });
}

TEST(EqualIntervalsCostALogarithmAndTheirHits) {
  CheckCosts([](IntervalWorld& world,
                int i) { world.Set(static_cast<size_t>(i), kInclusive, 5, kExclusive, kMany); },
             [](int value) { return value >= 5 && value < kMany ? kMany : 0; });
}

TEST(EqualLowEndsCostALogarithmAndTheirHits) {
  CheckCosts([](IntervalWorld& world,
                int i) { world.Set(static_cast<size_t>(i), kInclusive, 3, kInclusive, 3 + i); },
             [](int value) { return value < 3 ? 0 : std::max(0, kMany - value + 3); });
}

TEST(ATreeStaysLowWhateverIsRemoved) {
  IntervalWorld world(kMany);
  for (int i = 0; i < kMany; ++i) world.Set(static_cast<size_t>(i), kInclusive, i, kInclusive, i);
  // A window that moves.
  for (int i = 0; i < kMany; ++i) {
    CHECK(world.Insert(&world.intervals[static_cast<size_t>(i)]));
    if (i >= 1000) world.Remove(&world.intervals[static_cast<size_t>(i - 1000)]);
    if (i % (kMany / 20) == 0) CheckSound(world);
  }
  CHECK(world.FindsAll(kMany - 1) && world.FindsAll(kMany - 1001) && world.FindsAll(kMany - 1000));
  // All come and go.
  for (Numbered& interval : world.intervals)
    if (!interval.is_in) CHECK(world.Insert(&interval));
  const std::vector<int> order = Shuffled(kMany, 2);
  for (int i = 0; i < kMany; ++i) {
    world.Remove(&world.intervals[static_cast<size_t>(order[static_cast<size_t>(i)])]);
    if (i % (kMany / 20) == 0) CheckSound(world);
  }
  CheckSound(world);
}

TEST(ATreeGetsSmallWhereFewAreKept) {
  for (const int kept_of : {7, 31, 1000}) {
    IntervalWorld world(kMany);
    for (int i = 0; i < kMany; ++i)
      CHECK(world.Insert(&world.Set(static_cast<size_t>(i), kInclusive, i, kInclusive, i)));
    for (int i = 0; i < kMany; ++i)
      if (i % kept_of != 0) world.Remove(&world.intervals[static_cast<size_t>(i)]);
    CheckSound(world);
    CHECK(world.FindsAll(0) && world.FindsAll(kept_of));
  }
}

TEST(WithoutMemoryNothingChanges) {
  IntervalWorld world(1000);
  int failures = 0;
  for (int i = 0; i < 1000; ++i) {
    Numbered& interval = world.Set(static_cast<size_t>(i), kInclusive, i, kExclusive, i + 3);
    const auto before = world.Bytes(&interval);
    for (int k = 1; (world.allocations_left = k, !world.Insert(&interval)); ++k) {
      CHECK(world.Bytes(&interval) == before && interval.low.block == nullptr);
      ++failures;
    }
    world.allocations_left = 0;
    CheckSound(world);
  }
  CHECK(failures > 20);
  CHECK(world.FindsAll(500));
}

TEST(AComparisonThatLeavesChangesNothing) {
  IntervalWorld world(200);
  std::mt19937 random(3);
  for (int i = 0; i < 199; ++i) {
    const int low = static_cast<int>(random() % 50);
    world.Set(static_cast<size_t>(i), kInclusive, low, kExclusive, low + 1 + i % 7);
    CHECK(world.Insert(&world.intervals[static_cast<size_t>(i)]));
  }
  Numbered& last = world.Set(199, kExclusive, 20, kInclusive, 30);
  const auto before = world.Bytes(&last);
  int leaves = 0;
  for (bool left = true; left; leaves += left) {
    world.comparisons.left = leaves + 1;
    left = !world.Insert(&last);
    if (left) CHECK(world.Bytes(&last) == before && last.low.block == nullptr);
  }
  CHECK(leaves > 10);
  CHECK(world.FindsAll(20) && world.FindsAll(21) && world.FindsAll(30));
  const auto after = world.Bytes(nullptr);
  leaves = 0;
  for (bool left = true; left; leaves += left) {
    world.comparisons.left = leaves + 1;
    left = !world.Find(25);
    if (left) CHECK(world.found.empty());  // all comparisons are before the first visit
    CHECK(world.Bytes(nullptr) == after);
  }
  CHECK(leaves > 5);
  CheckSound(world);
}

// One step of any kind.
void Step(IntervalWorld& world, std::mt19937& random, int values) {
  const auto any = [&](int below) { return static_cast<int>(random() % unsigned(below)); };
  Numbered& interval = world.intervals[random() % world.intervals.size()];
  if (interval.is_in) {
    world.Remove(&interval);
    return;
  }
  world.Set(static_cast<size_t>(interval.number), static_cast<BoundKind>(any(3)), any(values),
            static_cast<BoundKind>(any(3)), any(values));
  world.comparisons.left = any(4) == 0 ? 1 + any(12) : 0;
  const auto before = world.Bytes(&interval);
  if (!world.Insert(&interval)) CHECK(world.Bytes(&interval) == before);
}

TEST(RandomStepsFindWhatAListFinds) {
  for (unsigned seed = 1; seed <= unsigned{kSeeds}; ++seed) {
    std::mt19937 random(seed);
    const int values = seed % 2 == 0 ? 8 : 60;
    IntervalWorld world(10 + random() % 290, static_cast<Keys>(seed % 3));
    for (int i = 0; i < 1000; ++i) {
      Step(world, random, values);
      CheckSound(world);
      for (int value = -1; value <= values; ++value) CHECK(world.FindsAll(value));
    }
  }
}

TEST(ComparisonsThatContradictThemselvesBreakNothing) {
  for (unsigned seed = 1; seed <= unsigned{kSeeds}; ++seed) {
    std::mt19937 random(seed);
    IntervalWorld world(300);
    world.keys = static_cast<Keys>(seed % 3);
    world.comparisons.lie = seed;
    for (int i = 0; i < 1000; ++i) {
      Step(world, random, 8);
      CHECK(world.Wrong(false) == nullptr);
      CHECK(world.Find(static_cast<int>(random() % 8)));
    }
    for (Numbered& interval : world.intervals) world.Remove(&interval);
    world.comparisons.lie = 0;
    InsertAll(world);
    CheckSound(world);
    for (int value = -1; value <= 8; ++value) CHECK(world.FindsAll(value));
  }
}

}  // namespace
}  // namespace live_queries
