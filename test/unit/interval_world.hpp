// An interval index, and beside it what it must find, by looking at each interval alone. Whatever
// is done is followed by a look at the tree itself, and at what memory it has. Used by the tests of
// model/interval_index.hpp.
#pragma once

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <vector>

#include "model/interval_index.hpp"

namespace live_queries {

struct Numbered : Interval<int> {
  int number;
  bool is_in;
};

// What the keys tell apart.
enum class Keys : uint8_t { kNone, kSome, kAll };

inline uint64_t KeyOf(int value, Keys keys) {
  if (keys == Keys::kNone) return 0;
  const auto key = static_cast<uint64_t>(static_cast<int64_t>(value)) ^ uint64_t { 1 } << 63;
  return keys == Keys::kSome ? key / 4 : key;
}

// Counts the comparisons, and leaves at one of them, or where memory is wanted.
struct Comparisons {
  std::jmp_buf* leave = nullptr;
  int left = 0;  // the last of so many leaves; 0: none does
  size_t count = 0;
  uint32_t lie = 0;  // not 0: what it says is arbitrary
};

struct Comparing {
  Comparisons* comparisons;

  int operator()(int a, int b) const {
    ++comparisons->count;
    if (comparisons->left > 0 && --comparisons->left == 0) std::longjmp(*comparisons->leave, 1);
    if (comparisons->lie == 0) return a < b ? -1000 : a > b;
    comparisons->lie = (comparisons->lie * 1664525 + 1013904223) | 1;
    return static_cast<int>(comparisons->lie >> 16) % 3 - 1;
  }
};

inline bool IsBelow(const IntervalEnd<int>& low, int value) {
  return low.kind == BoundKind::kUnbounded || low.value < value ||
         (low.kind == BoundKind::kInclusive && low.value == value);
}

inline bool IsAbove(const IntervalEnd<int>& high, int value) {
  return high.kind == BoundKind::kUnbounded || high.value > value ||
         (high.kind == BoundKind::kInclusive && high.value == value);
}

inline bool Contains(const Interval<int>& interval, int value) {
  return IsBelow(interval.low, value) && IsAbove(interval.high, value);
}

class IntervalWorld {
 public:
  using End = IntervalEnd<int>;
  using Block = IntervalBlock<int>;

  explicit IntervalWorld(size_t count, Keys keys = Keys::kSome) : intervals(count), keys(keys) {
    for (size_t i = 0; i < count; ++i) intervals[i].number = static_cast<int>(i);
  }
  IntervalWorld(const IntervalWorld&) = delete;
  IntervalWorld& operator=(const IntervalWorld&) = delete;
  ~IntervalWorld() {
    for (Block* block : blocks) std::free(block);
  }

  Numbered& Set(size_t number, BoundKind low_kind, int low, BoundKind high_kind, int high) {
    Numbered& interval = intervals[number];
    interval.low.kind = low_kind;
    interval.low.value = low;
    interval.low.key = KeyOf(low, keys);
    interval.high.kind = high_kind;
    interval.high.value = high;
    interval.high.key = KeyOf(high, keys);
    return interval;
  }

  // False: a comparison has left, or there was no memory.
  bool Insert(Numbered* interval) {
    std::jmp_buf leave;
    comparisons.leave = &leave;
    if (setjmp(leave) != 0) return false;
    index.Insert(interval, Comparing{&comparisons}, [this] { return Allocate(); });
    comparisons.left = 0;
    interval->is_in = interval->low.block != nullptr;
    return true;
  }

  void Remove(Numbered* interval) {
    index.Remove(interval, [this](Block* block) {
      blocks.erase(block);
      std::free(block);
    });
    interval->is_in = false;
  }

  // Leaves in `found` who contains `value`, in ascending order. False: a comparison has left.
  bool Find(int value) {
    found.clear();
    std::jmp_buf leave;
    comparisons.leave = &leave;
    if (setjmp(leave) != 0) return false;
    index.ForEachContaining(value, KeyOf(value, keys), Comparing{&comparisons},
                            [this](const Numbered& one) { found.push_back(one.number); });
    comparisons.left = 0;
    std::sort(found.begin(), found.end());
    return true;
  }

  // Whether Find finds what it must.
  bool FindsAll(int value) {
    expected.clear();
    for (const Numbered& interval : intervals)
      if (interval.is_in && Contains(interval, value)) expected.push_back(interval.number);
    return Find(value) && found == expected;
  }

  // All that is known of the intervals but of one, and of the tree: not of the memory it has spare.
  std::vector<unsigned char> Bytes(const Numbered* without) {
    std::vector<unsigned char> bytes;
    const auto add = [&](const void* from, size_t size) {
      const auto* first = static_cast<const unsigned char*>(from);
      bytes.insert(bytes.end(), first, first + size);
    };
    for (const Numbered& interval : intervals)
      if (&interval != without) add(&interval, sizeof interval);
    ForEachBlock([&](Block* block) {
      const auto count = static_cast<size_t>(block->count);
      add(block->keys, sizeof block->keys[0] * count);
      add(block->furthest_keys, sizeof block->furthest_keys[0] * count);
      add(block->furthest, sizeof block->furthest[0] * count);
      add(block->entries, sizeof block->entries[0] * count);
      add(&block->parent, sizeof block->parent);
    });
    return bytes;
  }

  // What is wrong with the tree; nullptr: nothing. Whether its order is that of the values can be
  // left out, where comparisons lie.
  const char* Wrong(bool with_order = true) {
    size_t count = 0;
    for (const Numbered& interval : intervals) {
      if ((interval.low.block != nullptr) != interval.is_in)
        return "one is in that should not, or not";
      if ((interval.high.block != nullptr) != interval.is_in) return "one end alone is in";
      if (interval.is_in) count += 2;
    }
    Block* const root = Root();
    if (root == nullptr)
      return count > 0 ? "no root" : !blocks.empty() ? "memory is kept for nothing" : nullptr;
    Seen seen;
    if (const char* wrong = WrongBelow(root, &seen, with_order)) return wrong;
    if (seen.ends.size() != count) return "some cannot be reached";
    if (root->level >= Deepest(count)) return "too high";
    if (seen.blocks > 3 + count / 4) return "too many blocks";
    return blocks.size() <= seen.blocks + kMostSpare ? nullptr : "memory is kept for nothing";
  }

  // So many levels may a tree of so many ends have.
  static int Deepest(size_t count) {
    int levels = 2;
    while (count > 8) {
      count /= 8;
      ++levels;
    }
    return levels;
  }

  std::vector<Numbered> intervals;
  IntervalIndex<Numbered> index;
  Keys keys;
  Comparisons comparisons;
  std::set<Block*> blocks;
  int allocations_left = 0;  // the last of so many leaves; 0: none does
  std::vector<int> found;
  std::vector<int> expected;

 private:
  static constexpr size_t kMostSpare = 2 * 12;

  struct Seen {
    std::vector<const End*> ends;  // in their order
    size_t blocks = 0;
  };

  Block* Allocate() {
    if (allocations_left > 0 && --allocations_left == 0) std::longjmp(*comparisons.leave, 1);
    auto* block = static_cast<Block*>(std::malloc(sizeof(Block)));
    blocks.insert(block);
    return block;
  }

  Block* Root() {
    for (Numbered& interval : intervals) {
      Block* block = interval.low.block;
      while (block != nullptr && block->parent != nullptr) block = block->parent;
      if (block != nullptr) return block;
    }
    return nullptr;
  }

  template <class Visit>
  void ForEachBlock(const Visit& visit) {
    if (Block* const root = Root()) VisitBelow(root, visit);
  }
  template <class Visit>
  static void VisitBelow(Block* block, const Visit& visit) {
    visit(block);
    for (int i = 0; block->level > 0 && i < block->count; ++i)
      VisitBelow(block->entries[i].block, visit);
  }

  static int Side(const End& end) { return end.IsLow() == (end.kind == BoundKind::kExclusive); }

  static bool InOrder(const End& a, const End& b) {
    const bool a_unbounded = a.kind == BoundKind::kUnbounded;
    const bool b_unbounded = b.kind == BoundKind::kUnbounded;
    if (!a_unbounded && !b_unbounded) {
      if (a.value != b.value) return a.value < b.value;
      if (Side(a) != Side(b)) return Side(a) < Side(b);
    } else if (!a_unbounded || !b_unbounded || a.IsLow() != b.IsLow()) {
      return a_unbounded ? a.IsLow() : !b.IsLow();
    }
    if (a.IsLow() != b.IsLow()) return b.IsLow();
    return !a.IsLow() || Place(&a.interval->high) < Place(&b.interval->high);
  }

  static int64_t Place(const End* end) { return IntervalTree<int>::PlaceOf(end); }

  static bool IsFurther(const End* a, const End* b) {
    if (a == nullptr || b == nullptr) return a != nullptr;
    return a->key != b->key ? a->key > b->key : Place(a) > Place(b);
  }

  static const char* WrongBelow(Block* block, Seen* seen, bool with_order) {
    ++seen->blocks;
    if (block->count < 1 || block->count > Block::kCapacity) return "an odd count";
    const End* furthest = nullptr;
    for (int i = 0; i < block->count; ++i) {
      const size_t first = seen->ends.size();
      if (block->level == 0) {
        End* const end = block->entries[i].end;
        if (end->block != block) return "another one's end";
        if (!seen->ends.empty() && with_order && !InOrder(*seen->ends.back(), *end))
          return "not in order";
        if (!seen->ends.empty() && Place(seen->ends.back()) >= Place(end))
          return "places do not rise";
        seen->ends.push_back(end);
      } else {
        Block* const below = block->entries[i].block;
        if (below->parent != block || below->level != block->level - 1) return "no child";
        if (const char* wrong = WrongBelow(below, seen, with_order)) return wrong;
      }
      const End* here = nullptr;
      for (size_t k = first; k < seen->ends.size(); ++k)
        if (seen->ends[k]->IsLow() && IsFurther(&seen->ends[k]->interval->high, here))
          here = &seen->ends[k]->interval->high;
      if (block->keys[i] != seen->ends[first]->key) return "another key";
      if (block->furthest_keys[i] != (here == nullptr ? 0 : here->key))
        return "another key of the furthest";
      if (IsFurther(here, furthest)) furthest = here;
      if (block->furthest[i] != furthest) return "another one is the furthest";
    }
    return nullptr;
  }
};

}  // namespace live_queries
