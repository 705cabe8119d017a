// The B-tree of an interval index: the ends of its intervals, in the order that who puts them there
// has found.
//
// Owns: that order, and of which high ends a part of the tree knows. Used by interval_index.hpp
// alone, which says what it is for. Nothing here compares values. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace live_queries {

enum class BoundKind : uint8_t {
  kUnbounded,  // no value is beyond it; it has none itself
  kInclusive,
  kExclusive,
};

template <class Value>
struct Interval;
template <class Value>
struct IntervalBlock;

// One end of an interval. Who inserts sets `value`, `key` and `kind`; the rest is the index's own.
template <class Value>
struct IntervalEnd {
  Value value{};
  // Of two values, the one with the lesser key is less. 0 for all of them: they have none.
  uint64_t key = 0;
  Interval<Value>* interval = nullptr;
  IntervalBlock<Value>* block = nullptr;  // nullptr: in no index
  BoundKind kind = BoundKind::kUnbounded;

  bool IsLow() const { return this == &interval->low; }
};

// An interval, to be a base of what it leads to. It belongs to its owner and must neither move nor
// change while it is in an index. Zeroed memory is one without bounds, in no index.
template <class Value>
struct Interval {
  using ValueType = Value;

  IntervalEnd<Value> low;
  IntervalEnd<Value> high;
};

// A block of the tree. At level 0 an entry is an end, above it is a block. It is a little smaller
// than a power of two, which is what the server's memory contexts give.
template <class Value>
struct IntervalBlock {
  static constexpr int kCapacity = 31;
  union Entry {
    IntervalEnd<Value>* end;
    IntervalBlock* block;
  };

  uint64_t keys[kCapacity];           // of the first end at each entry or below it
  uint64_t furthest_keys[kCapacity];  // of the furthest high end of those whose low end is there
  IntervalEnd<Value>*
      furthest[kCapacity];  // of all entries up to there; nullptr: it has no low end
  Entry entries[kCapacity];
  IntervalBlock* parent;  // of a spare one, the next
  int level;
  int count;  // of entries, in use at least 1
};

// Zeroed memory is an empty one. An end stands in it right after another one, of its choice.
template <class Value>
class IntervalTree {
 public:
  using End = IntervalEnd<Value>;
  using Block = IntervalBlock<Value>;

  // Blocks are split into halves, so that this many levels take more ends than there can be.
  static constexpr int kMostLevels = 12;
  static constexpr int kBitsOfLevel = 5;
  static_assert(Block::kCapacity <= 1 << kBitsOfLevel);

  const Block* root() const { return root_; }

  // Rises from one end to the next, as long as nothing is added or removed. It is the way from the
  // root, with kBitsOfLevel for each level. -1: of no end.
  static int64_t PlaceOf(const End* end) {
    if (end == nullptr) return -1;
    int64_t place = IndexOf(end);
    int shift = kBitsOfLevel;
    for (const Block* block = end->block; block->parent != nullptr; block = block->parent) {
      place |= static_cast<int64_t>(IndexOf(block)) << shift;
      shift += kBitsOfLevel;
    }
    return place;
  }

  // The furthest high end of those whose low end is at an entry or below it; nullptr: none.
  static End* FurthestAt(const Block* block, int index) {
    const auto entry = block->entries[index];
    if (block->level > 0) return entry.block->furthest[entry.block->count - 1];
    return entry.end->IsLow() ? &entry.end->interval->high : nullptr;
  }

  // Gets what adding two ends may need, right after these (nullptr: as the first).
  // allocate(), which gives the memory of a block, may leave.
  template <class Allocate>
  void Reserve(const End* before, const End* other_before, const Allocate& allocate) {
    while (spare_count_ < MostNeeded(before, other_before)) {
      Block* const spare = allocate();
      spare->parent = spares_;
      spares_ = spare;
      ++spare_count_;
    }
  }

  // Adds an end of which there is room, right after `before` (nullptr: as the first). A high one
  // comes before the low one of its interval.
  void Add(End* end, const End* before) {
    if (root_ == nullptr) root_ = MakeBlock(0, nullptr);
    if (BlockAfter(before)->count == kCapacity) Split(BlockAfter(before));
    Block* const block = BlockAfter(before);
    const int index = before == nullptr ? 0 : IndexOf(before) + 1;
    OpenPlace(block, index);
    block->keys[index] = end->key;
    block->entries[index].end = end;
    end->block = block;
    FindFurthest(block, index);
    DescribeAll(block);
  }

  // A low one goes before the high one of its interval. release(Block*) takes memory back.
  template <class Release>
  void Remove(End* end, const Release& release) {
    Block* block = end->block;
    int index = IndexOf(end);
    end->block = nullptr;
    while (block->count == 1) {
      Block* const parent = block->parent;
      if (parent == nullptr) return Clear(release);
      index = IndexOf(block);
      release(block);
      block = parent;
    }
    ClosePlace(block, index);
    FindFurthest(block, index);
    DescribeAll(block);
    MergeFew(block, release);
  }

 private:
  static constexpr int kCapacity = Block::kCapacity;
  // Two blocks side by side become one where they have no more entries together.
  static constexpr int kFew = kCapacity / 2;

  static int IndexOf(const End* end) {
    int index = 0;
    while (end->block->entries[index].end != end) ++index;
    return index;
  }
  // In its parent.
  static int IndexOf(const Block* block) {
    int index = 0;
    while (block->parent->entries[index].block != block) ++index;
    return index;
  }

  // The blocks that get too full are those on the way up.
  int MostNeeded(const End* before, const End* other_before) const {
    if (root_ == nullptr) return 1;
    const bool room = BlockAfter(before)->count + 2 <= kCapacity &&
                      BlockAfter(other_before)->count + 2 <= kCapacity;
    return room ? 0 : 2 * (root_->level + 2);
  }

  Block* TakeSpare() {
    Block* const block = spares_;
    spares_ = block->parent;
    --spare_count_;
    return block;
  }

  // An empty one.
  Block* MakeBlock(int level, Block* parent) {
    Block* const block = TakeSpare();
    block->parent = parent;
    block->level = level;
    block->count = 0;
    return block;
  }

  // After the last end has gone.
  template <class Release>
  void Clear(const Release& release) {
    release(root_);
    root_ = nullptr;
    while (spares_ != nullptr) release(TakeSpare());
  }

  Block* BlockAfter(const End* before) const {
    if (before != nullptr) return before->block;
    Block* block = root_;
    while (block->level > 0) block = block->entries[0].block;
    return block;
  }

  // ----- entries -----

  static void CopyEntry(const Block* from, int index, Block* to, int to_index) {
    to->keys[to_index] = from->keys[index];
    to->furthest_keys[to_index] = from->furthest_keys[index];
    to->furthest[to_index] = from->furthest[index];
    to->entries[to_index] = from->entries[index];
  }

  // There is room. The place is to be filled.
  static void OpenPlace(Block* block, int index) {
    for (int i = block->count++; i > index; --i) CopyEntry(block, i - 1, block, i);
  }

  static void ClosePlace(Block* block, int index) {
    for (int i = index + 1; i < block->count; ++i) CopyEntry(block, i, block, i - 1);
    --block->count;
  }

  // Those from `index` on go to the end of another block of the same level.
  static void MoveEntries(Block* from, int index, Block* to) {
    for (int i = index; i < from->count; ++i) {
      CopyEntry(from, i, to, to->count++);
      if (from->level == 0)
        from->entries[i].end->block = to;
      else
        from->entries[i].block->parent = to;
    }
    from->count = index;
  }

  // By their keys first, as searches do: whatever comparisons have said, the furthest is one that a
  // search enters a block for, if there is any.
  static bool IsFurther(const End* a, const End* b) {
    if (a == nullptr || b == nullptr) return a != nullptr;
    return a->key != b->key ? a->key > b->key : PlaceOf(a) > PlaceOf(b);
  }

  // Where an entry has changed, or is another one than before. It matters to those after it as far
  // as what is furthest up to there is another end than before.
  static void FindFurthest(Block* block, int index) {
    for (int i = index; i < block->count; ++i) {
      End* const here = FurthestAt(block, i);
      block->furthest_keys[i] = here == nullptr ? 0 : here->key;
      End* const before = i == 0 ? nullptr : block->furthest[i - 1];
      End* const furthest = IsFurther(here, before) ? here : before;
      if (i > index && block->furthest[i] == furthest) return;
      block->furthest[i] = furthest;
    }
  }

  // Sets what the entry of a block says of it.
  static void Describe(Block* block) {
    const int index = IndexOf(block);
    block->parent->keys[index] = block->keys[0];
    FindFurthest(block->parent, index);
  }

  static void DescribeAll(Block* block) {
    for (; block->parent != nullptr; block = block->parent) Describe(block);
  }

  // ----- blocks that have many or few -----

  // Gives the second half of its entries to a new block.
  void Split(Block* block) {
    if (block->parent == nullptr) {
      root_ = block->parent = MakeBlock(block->level + 1, nullptr);
      root_->entries[root_->count++].block = block;
    } else if (block->parent->count == kCapacity) {
      Split(block->parent);
    }
    Block* const second = MakeBlock(block->level, block->parent);
    const int index = IndexOf(block) + 1;
    OpenPlace(block->parent, index);
    block->parent->entries[index].block = second;
    block->parent->furthest[index] = nullptr;
    MoveEntries(block, block->count / 2, second);
    // All places can be told from here on.
    FindFurthest(second, 0);
    Describe(block);
    Describe(second);
  }

  // After a block has lost an entry: it, and those above it, become one with a neighbour.
  template <class Release>
  void MergeFew(Block* block, const Release& release) {
    while (Block* const parent = block->parent) {
      const int index = IndexOf(block);
      if (index > 0 && AreFew(parent, index - 1))
        Merge(parent, index - 1, release);
      else if (AreFew(parent, index))
        Merge(parent, index, release);
      else
        break;
      block = parent;
    }
    while (root_->level > 0 && root_->count == 1) {
      Block* const above = root_;
      root_ = above->entries[0].block;
      root_->parent = nullptr;
      release(above);
    }
  }

  // Whether a block below and the next one have.
  static bool AreFew(const Block* parent, int index) {
    return index + 1 < parent->count &&
           parent->entries[index].block->count + parent->entries[index + 1].block->count <= kFew;
  }

  template <class Release>
  static void Merge(Block* parent, int index, const Release& release) {
    Block* const first = parent->entries[index].block;
    Block* const second = parent->entries[index + 1].block;
    const int moved = first->count;
    MoveEntries(second, 0, first);
    ClosePlace(parent, index + 1);
    release(second);
    FindFurthest(first, moved);
    Describe(first);
  }

  Block* root_ = nullptr;
  Block* spares_ = nullptr;
  int spare_count_ = 0;
};

}  // namespace live_queries
