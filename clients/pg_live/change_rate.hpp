// How many changes come, second by second.
//
// Owns: the counts of the last seconds, and their sparkline. Pure.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <string>

namespace pg_live {

class ChangeRate {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void Add(size_t changes, Time now);

  // Over the last three whole seconds, or as many as there were.
  double PerSecond(Time now);

  // A bar for each of the last `width` whole seconds, the newest at the right.
  std::string Sparkline(size_t width, Time now);

 private:
  static constexpr size_t kSeconds = 128;

  void MoveTo(Time now);
  size_t& CountOf(long second) { return counts_[static_cast<size_t>(second) % kSeconds]; }

  std::array<size_t, kSeconds> counts_{};
  long second_ = -1;  // the one that is counted now
  long first_ = -1;
};

}  // namespace pg_live
