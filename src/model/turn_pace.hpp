// How far apart the turns of a worker are, at least. A turn costs by itself: it reads, publishes,
// and wakes those who get something. Where transactions come one upon the other, that is shared by
// more of them the longer it waits; where few come, none should wait long.
//
// Owns: that distance, by how fast they came since the last turn. Used by decoder and evaluator
// after they have slept. Pure.
#pragma once

#include <cstdint>

namespace live_queries {

class TurnPace {
 public:
  static constexpr int64_t kLeastUs = 500;
  static constexpr int64_t kMostUs = 2000;
  // Up to so many transactions a second it is the least; from four times as many on, the most.
  static constexpr int64_t kManyASecond = 8000;
  static constexpr int64_t kLongAgoUs = 60 * 1000 * 1000;

  // For the turn that begins at `now` (microseconds) or later, when `transactions` were handled in
  // all.
  constexpr int64_t Next(uint64_t transactions, int64_t now) {
    const int64_t handled = static_cast<int64_t>(transactions - transactions_);
    const int64_t passed = now - last_;
    transactions_ = transactions;
    last_ = now;
    // The clock may have been set, or this is the first turn.
    if (passed <= 0 || passed > kLongAgoUs) return kLeastUs;
    const int64_t pace = kLeastUs * handled * 1000000 / (kManyASecond * passed);
    return pace < kLeastUs ? kLeastUs : pace > kMostUs ? kMostUs : pace;
  }

 private:
  uint64_t transactions_ = 0;
  int64_t last_ = 0;
};

}  // namespace live_queries
