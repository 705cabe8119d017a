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

// That of a shape, known or forgotten; nullptr: there is none.
template <class Shapes>
auto* EntryOf(Shapes& shapes, uint64_t hash) {
  auto* end = std::end(shapes.entries);
  auto* entry = std::find_if(std::begin(shapes.entries), end,
                             [&](const auto& one) { return one.shape.Load() == hash; });
  return entry == end ? nullptr : entry;
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
  const auto* entry = EntryOf(shapes, HashOf(spec));
  return entry != nullptr && entry->until.Load() > GetCurrentTimestamp();
}

void NoteCostly(CostlyShapesShared* shapes, std::string_view spec) {
  const uint64_t hash = HashOf(spec);
  auto* entry = EntryOf(*shapes, hash);
  if (entry == nullptr) entry = &shapes->entries[shapes->noted.Add(1) % std::size(shapes->entries)];
  entry->shape.Store(hash);
  entry->until.Store(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kKnownForMs));
}

}  // namespace live_queries
