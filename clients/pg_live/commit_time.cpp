// The C library reads all but the fraction of a second.
#include "pg_live/commit_time.hpp"

#include <cstdlib>
#include <ctime>

namespace pg_live {

std::optional<std::chrono::system_clock::time_point> ParseCommitTime(const std::string& text) {
  std::tm parts{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  double fraction = 0;
  if (*rest == '.') {
    char* end = nullptr;
    fraction = std::strtod(rest, &end);
    rest = end;
  }
  std::tm zone{};
  if (strptime(rest, "%z", &zone) == nullptr) return std::nullopt;
  const std::time_t seconds = timegm(&parts) - zone.tm_gmtoff;
  return std::chrono::system_clock::from_time_t(seconds) +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(
             std::chrono::duration<double>(fraction));
}

}  // namespace pg_live
