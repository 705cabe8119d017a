// A live query that was not there before has no rate yet: its counts are those of its whole life.
#include "pg_live/live_query_list.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <tuple>
#include <utility>

namespace pg_live {

void LiveQueryList::Take(std::vector<ListedQuery> queries, Time now) {
  const double seconds = std::chrono::duration<double>(now - before_).count();
  std::unordered_map<std::string, long long> changes;
  for (ListedQuery& query : queries) {
    const auto before = changes_before_.find(query.live_id);
    // One of the same name may have begun anew.
    if (before != changes_before_.end() && seconds > 0 && query.changes >= before->second)
      query.changes_per_second = static_cast<double>(query.changes - before->second) / seconds;
    changes[query.live_id] = query.changes;
  }
  std::sort(queries.begin(), queries.end(), [](const ListedQuery& left, const ListedQuery& right) {
    return std::tuple(-left.changes_per_second, std::string_view(left.live_id)) <
           std::tuple(-right.changes_per_second, std::string_view(right.live_id));
  });
  queries_ = std::move(queries);
  changes_before_ = std::move(changes);
  before_ = now;
}

std::string BytesText(long long bytes) {
  constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB"};
  constexpr double kStep = 1024;
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= kStep && unit + 1 < kUnits.size()) {
    value /= kStep;
    ++unit;
  }
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), unit == 0 || value >= 10 ? "%.0f %s" : "%.1f %s",
                value, kUnits.at(unit));
  return buffer.data();
}

}  // namespace pg_live
