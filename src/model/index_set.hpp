// A set of small indexes, as bits. It is walked by taking from a copy:
// `for (IndexSet left = set; !left.empty();) Use(left.TakeFirst());`. Pure.
#pragma once

#include <bit>
#include <cstdint>

namespace live_queries {

class IndexSet {
 public:
  using Bits = uint32_t;
  static constexpr int kCapacity = 32;

  constexpr IndexSet() = default;
  constexpr explicit IndexSet(Bits bits) : bits_(bits) {}
  static constexpr IndexSet Of(int index) { return IndexSet(Bits{1} << index); }

  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool HasSeveral() const { return (bits_ & (bits_ - 1)) != 0; }
  constexpr bool Has(int index) const { return (bits_ & Of(index).bits_) != 0; }
  constexpr void Add(int index) { bits_ |= Of(index).bits_; }
  constexpr void Remove(int index) { bits_ &= ~Of(index).bits_; }

  // The smallest or the greatest, which leaves it. It is not to be empty.
  constexpr int TakeFirst() {
    const int index = std::countr_zero(bits_);
    Remove(index);
    return index;
  }
  constexpr int TakeLast() {
    const int index = kCapacity - 1 - std::countl_zero(bits_);
    Remove(index);
    return index;
  }

  constexpr Bits bits() const { return bits_; }
  constexpr IndexSet With(IndexSet other) const { return IndexSet(bits_ | other.bits_); }
  constexpr IndexSet Without(IndexSet other) const { return IndexSet(bits_ & ~other.bits_); }
  friend constexpr bool operator==(IndexSet, IndexSet) = default;

 private:
  Bits bits_ = 0;
};

}  // namespace live_queries
