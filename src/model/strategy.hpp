// How changes of a subscription's result are found.
//
// Owns: Strategy and its text in `live.subscribe`, `live.explain` and the view. Used by the query
// analysis, which chooses it, and by the decoder. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace live_queries {

enum class Strategy : uint8_t {
  kStream,   // one table: evaluated on the decoded rows alone
  kDelta,    // what a change may have made stale, evaluated at two snapshots
  kRefresh,  // the whole query, evaluated at two snapshots
};

constexpr std::string_view ToText(Strategy strategy) {
  switch (strategy) {
    case Strategy::kStream:
      return "stream";
    case Strategy::kDelta:
      return "delta";
    case Strategy::kRefresh:
      return "refresh";
  }
  return "unknown";
}

}  // namespace live_queries
