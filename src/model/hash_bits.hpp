// Tells of a hash whether it may be one of some: it may, if it is, and so may one in eight of all
// others at most. By a bit for the lowest bits of each.
//
// Owns: which bits are set, in memory of its user's, and how many hashes still fit. Used by the
// tables of routes. Pure.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace live_queries {

class HashBits {
 public:
  // What is needed for these and as many more.
  static constexpr size_t BytesFor(size_t hashes) {
    return std::bit_ceil(std::max(hashes, kFewest)) * kBitsOfEach / 8;
  }

  constexpr HashBits() = default;
  // Of none: all of `bytes` are zero, as many as BytesFor says. They stay the caller's.
  constexpr HashBits(uint8_t* bytes, size_t count)
      : bytes_(bytes), last_(count * 8 - 1), room_(count * 8 / kBitsOfEach * 2) {}

  constexpr uint8_t* bytes() const { return bytes_; }

  constexpr bool IsFull() const { return room_ == 0; }
  // Not if it is full.
  constexpr void Add(uint32_t hash) {
    bytes_[Byte(hash)] = static_cast<uint8_t>(bytes_[Byte(hash)] | Bit(hash));
    --room_;
  }
  constexpr bool MayHave(uint32_t hash) const { return (bytes_[Byte(hash)] & Bit(hash)) != 0; }

 private:
  static constexpr size_t kFewest = 64;
  static constexpr size_t kBitsOfEach = 16;

  constexpr size_t Byte(uint32_t hash) const { return (hash & last_) / 8; }
  static constexpr unsigned Bit(uint32_t hash) { return 1U << (hash % 8); }

  uint8_t* bytes_ = nullptr;
  size_t last_ = 0;  // number of a bit
  size_t room_ = 0;  // for so many, also of the same ones
};

}  // namespace live_queries
