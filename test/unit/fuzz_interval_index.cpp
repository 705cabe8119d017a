// Fuzz target: any bytes as insertions, removals and searches in an interval index, with
// comparisons that leave and, where the first byte says so, such that lie.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "interval_world.hpp"

namespace {

using namespace live_queries;

constexpr size_t kIntervals = 64;
constexpr int kValues = 16;

void Require(bool condition) {
  if (!condition) std::abort();
}

// Four bytes: which interval; kinds of the ends, or which comparison leaves; two values.
void Apply(IntervalWorld& world, std::span<const uint8_t, 4> step, bool lies) {
  Numbered& interval = world.intervals[step[0] % kIntervals];
  const int value = step[2] % kValues;
  if (interval.is_in && step[0] < 192) {
    world.Remove(&interval);
  } else if (!interval.is_in) {
    world.Set(interval.number, static_cast<BoundKind>(step[1] % 3), value,
              static_cast<BoundKind>(step[1] / 3 % 3), step[3] % kValues);
    world.comparisons.left = step[1] / 9;
    const auto before = world.Bytes(&interval);
    if (!world.Insert(&interval)) Require(world.Bytes(&interval) == before);
  } else {
    world.comparisons.left = step[1];
    const auto before = world.Bytes(nullptr);
    (void)world.Find(value);
    Require(world.Bytes(nullptr) == before);
  }
  world.comparisons.left = 0;
  Require(world.Wrong(!lies) == nullptr);
  if (!lies) Require(world.FindsAll(value) && world.FindsAll(step[3] % kValues));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  IntervalWorld world(kIntervals, static_cast<Keys>(data[0] % 3));
  world.comparisons.lie = data[0] < 64 ? data[0] : 0;
  const bool lies = world.comparisons.lie != 0;
  for (size_t i = 1; i + 4 <= size; i += 4)
    Apply(world, std::span<const uint8_t, 4>(data + i, 4), lies);
  for (Numbered& interval : world.intervals) world.Remove(&interval);
  Require(world.Wrong() == nullptr);
  return 0;
}
