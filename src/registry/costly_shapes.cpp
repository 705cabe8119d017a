// A few entries, looked through one by one: there are hardly ever any. Process: any.
#include "registry/costly_shapes.hpp"

#include <algorithm>
#include <iterator>

extern "C" {
#include "common/hashfn.h"
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

constexpr int kKnownForMs = 10 * 60 * 1000;

uint64_t HashOf(std::string_view spec) {
  return hash_bytes_extended(reinterpret_cast<const unsigned char*>(spec.data()),
                             static_cast<int>(spec.size()), 0);
}

}  // namespace

void InitCostlyShapes(CostlyShapesShared* shapes) {
  for (CostlyShapesShared::Entry& entry : shapes->entries) {
    entry.shape.Init(0);
    entry.until.Init(0);
  }
  shapes->noted.Init(0);
}

bool IsCostly(const CostlyShapesShared& shapes, std::string_view spec) {
  const uint64_t hash = HashOf(spec);
  const TimestampTz now = GetCurrentTimestamp();
  return std::any_of(std::begin(shapes.entries), std::end(shapes.entries), [&](const auto& entry) {
    return entry.shape.Load() == hash && entry.until.Load() > now;
  });
}

void NoteCostly(CostlyShapesShared* shapes, std::string_view spec) {
  CostlyShapesShared::Entry& entry =
      shapes->entries[shapes->noted.Add(1) % std::size(shapes->entries)];
  entry.shape.Store(HashOf(spec));
  entry.until.Store(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kKnownForMs));
}

}  // namespace live_queries
