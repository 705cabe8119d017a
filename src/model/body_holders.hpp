// Who needs a body that stands in shared memory once for several mailboxes: the blocks of mailboxes
// that have it, and whoever has made it, until it has put it everywhere.
//
// Owns: how they are counted in one number, which many change at one time by an atomic addition or
// subtraction. The one who changes it learns from what it was before what there is to do: charge it
// with the first block, discharge it with the last, free it when nobody is left. The maker alone
// adds blocks, so nobody comes after that. Pure.
#pragma once

#include <cstdint>

namespace live_queries {

inline constexpr uint32_t kBlockOfBody = 1;
inline constexpr uint32_t kMakerOfBody = uint32_t{1} << 31;

constexpr uint32_t BlocksOfBody(uint32_t holders) { return holders & ~kMakerOfBody; }

// A block was added. `before`: what it was before that.
constexpr bool IsFirstBlock(uint32_t before) { return BlocksOfBody(before) == 0; }

// A block was taken off.
constexpr bool WasLastBlock(uint32_t before) { return BlocksOfBody(before) == 1; }

// A block, or the maker, was taken off.
constexpr bool NobodyHolds(uint32_t before, uint32_t taken_off) { return before == taken_off; }

}  // namespace live_queries
