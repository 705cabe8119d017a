// How long to wait before the next try to connect, and before results that were reset are read
// again: docs/client.md, "Waits".
//
// Owns: Backoff. Pure: the caller brings the chance and the time.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include "pg_live/options.hpp"

namespace pg_live {

// Many clients may have lost their connection, or been reset, at one moment: each waits any part of
// a second, and of twice that when it happens again soon, and so on, up to half a minute.
class Backoff {
 public:
  using Duration = std::chrono::milliseconds;
  using Time = std::chrono::steady_clock::time_point;

  // So long after all was well again, what happens has nothing to do with what was before.
  static constexpr std::chrono::seconds kCalm{10};

  explicit Backoff(const Times& times)
      : first_(times.first_wait), longest_(times.longest_wait), next_(first_) {}

  // All is well: connected, or read again.
  void Well(Time now) { well_since_ = now; }

  // `chance` is from 0 to 1.
  Duration Next(double chance, Time now) {
    if (well_since_ && now - *well_since_ >= kCalm) next_ = first_;
    well_since_.reset();
    const Duration most = std::min(next_, longest_);
    next_ = std::min(next_ * 2, longest_);
    return std::chrono::duration_cast<Duration>(most * chance);
  }

 private:
  Duration first_;
  Duration longest_;
  Duration next_;
  std::optional<Time> well_since_;
};

}  // namespace pg_live
