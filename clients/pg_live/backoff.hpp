// How long to wait before the next try to connect, and before results that were reset are read
// again.
//
// Owns: Backoff, RefreshBackoff. Pure: the caller brings the chance and the time.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

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

// All clients that watch a table may have been reset at one moment: each waits any part of a
// second. Those that are reset again soon wait any part of twice that, and so on, up to half a
// minute.
class RefreshBackoff {
 public:
  using Duration = Backoff::Duration;
  using Time = std::chrono::steady_clock::time_point;

  static constexpr Duration kFirst{1000};
  static constexpr Duration kLongest{30000};
  // So long after a refresh, a reset has nothing to do with the one before.
  static constexpr Duration kCalm{10000};

  // `chance` is from 0 to 1.
  Duration Next(double chance, Time now) {
    if (refreshed_ && now - *refreshed_ >= kCalm) next_ = kFirst;
    refreshed_.reset();
    const Duration most = next_;
    next_ = std::min(next_ * 2, kLongest);
    return std::chrono::duration_cast<Duration>(most * chance);
  }

  void Refreshed(Time now) { refreshed_ = now; }

 private:
  Duration next_ = kFirst;
  std::optional<Time> refreshed_;
};

}  // namespace pg_live
