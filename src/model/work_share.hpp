// How long a worker is to rest so that, under load, it takes no more than a share of the time.
//
// Owns: that account. Time that passes adds to what may be worked, work takes from it; so what
// works seldom never rests, and what works all the time does for its share. Used by the evaluator
// between two batches. Pure.
#pragma once

#include <cstdint>

namespace live_queries {

class WorkShare {
 public:
  // So much work may be done at once after idle times; and the longest rest, whatever was worked.
  static constexpr int64_t kBurstUs = 50 * 1000;
  static constexpr int64_t kMostRestUs = 200 * 1000;

  // It has worked for so long, until `now`, and may take `percent` (1 to 100) of the time.
  constexpr void Worked(int64_t worked_us, int64_t now, int percent) {
    Pass(now, percent);
    left_us_ -= worked_us;
    const int64_t least = -kMostRestUs * percent / 100;
    if (left_us_ < least) left_us_ = least;
  }

  // How long it is to rest from `now` on; 0: not at all.
  constexpr int64_t RestUs(int64_t now, int percent) {
    Pass(now, percent);
    if (left_us_ >= 0 || percent >= 100) return 0;
    return (-left_us_ * 100 + percent - 1) / percent;
  }

 private:
  // Where the clock was set, nothing has passed, or all that counts.
  constexpr void Pass(int64_t now, int percent) {
    const int64_t passed = now - last_;
    last_ = now;
    if (passed <= 0) return;
    const int64_t most = (kBurstUs - left_us_) * 100 / percent;
    left_us_ = passed >= most ? kBurstUs : left_us_ + passed * percent / 100;
  }

  int64_t left_us_ = kBurstUs;  // to be worked now; below 0: too much was
  int64_t last_ = 0;            // when that was so
};

}  // namespace live_queries
