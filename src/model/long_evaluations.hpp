// Whether a query takes so long to evaluate, so often, that others should not wait for it.
//
// Owns: an account of long evaluations, which time pays off. One alone is no reason, nor are those
// that nobody notices, however many there are. Used by the evaluator for each template. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace live_queries {

class LongEvaluations {
 public:
  // From there on others notice.
  static constexpr int64_t kLongUs = 50 * 1000;
  // What one counts for at most: a bulk load is over after it.
  static constexpr int64_t kMostUs = 300 * 1000;
  // So much may have been taken at once, and such a share of the time for ever.
  static constexpr int64_t kBurstUs = 1000 * 1000;
  static constexpr int64_t kPercent = 5;

  // One took `us` (microseconds), until `now`. Returns whether that is too much by now.
  constexpr bool Took(int64_t us, int64_t now) {
    if (us < kLongUs) return false;
    const int64_t passed = now - last_;
    last_ = now;
    // Where the clock was set, nothing has passed, or all that counts.
    constexpr int64_t kAllPassed = (kBurstUs + kMostUs) * 100 / kPercent;
    if (passed > 0) taken_us_ -= std::min(passed, kAllPassed) * kPercent / 100;
    taken_us_ = std::max(taken_us_, int64_t{0});
    taken_us_ += std::min(us, kMostUs);
    return taken_us_ > kBurstUs;
  }

 private:
  int64_t taken_us_ = 0;
  int64_t last_ = 0;
};

}  // namespace live_queries
