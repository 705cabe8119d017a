// A ring of counts, of which those of seconds without a change are set to 0 when time moves on.
#include "pg_live/change_rate.hpp"

#include <algorithm>
#include <string_view>

namespace pg_live {

void ChangeRate::MoveTo(Time now) {
  const long second =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (second_ < 0) {
    second_ = second;
    first_ = second;
  }
  if (second - second_ >= static_cast<long>(kSeconds)) {
    counts_.fill(0);
    second_ = second;
  }
  while (second_ < second) CountOf(++second_) = 0;
}

void ChangeRate::Add(size_t changes, Time now) {
  MoveTo(now);
  CountOf(second_) += changes;
}

double ChangeRate::PerSecond(Time now) {
  constexpr long kOver = 3;
  MoveTo(now);
  const long seconds = std::min(kOver, second_ - first_);
  if (seconds == 0) return static_cast<double>(CountOf(second_));
  size_t sum = 0;
  for (long i = 1; i <= seconds; ++i) sum += CountOf(second_ - i);
  return static_cast<double>(sum) / static_cast<double>(seconds);
}

std::string ChangeRate::Sparkline(size_t width, Time now) {
  constexpr std::array<std::string_view, 9> kBars = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  MoveTo(now);
  width = std::min(width, kSeconds - 1);
  size_t most = 1;
  for (size_t i = 1; i <= width; ++i)
    most = std::max(most, CountOf(second_ - static_cast<long>(i)));
  std::string line;
  for (size_t i = width; i >= 1; --i) {
    const size_t count = CountOf(second_ - static_cast<long>(i));
    const size_t bar = (count * (kBars.size() - 1) + most - 1) / most;
    line += kBars[bar];
  }
  return line;
}

}  // namespace pg_live
