// How long to wait before the next try to connect.
//
// Owns: Backoff. Pure: the caller brings the chance.
#pragma once

#include <algorithm>
#include <chrono>

namespace pg_live {

// Waits double from try to try, up to half a minute. Each is between half of that and all of it, so
// that many clients of a server that comes back do not come at one moment.
class Backoff {
 public:
  using Duration = std::chrono::milliseconds;

  static constexpr Duration kFirst{250};
  static constexpr Duration kLongest{30000};

  // `chance` is from 0 to 1.
  Duration Next(double chance) {
    const Duration most = next_;
    next_ = std::min(next_ * 2, kLongest);
    return most / 2 + std::chrono::duration_cast<Duration>(most / 2 * chance);
  }

  void Reset() { next_ = kFirst; }

 private:
  Duration next_ = kFirst;
};

}  // namespace pg_live
