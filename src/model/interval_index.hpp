// An index of intervals: which of them contain a value, found with O(log n) comparisons.
//
// Owns: that search. Used for live queries that are routed by a range, where an interval is what
// one route wants of a column. Pure.
//
// Comparisons call a function of the value's type, which in a server may be written by a user: it
// may be slow, it may leave by longjmp, it may even contradict itself. So:
//
//   * Insert compares and allocates first and changes the index afterwards: if one of these leaves,
//     nothing has happened. Remove does neither, so it may be called where no function may run.
//   * What a comparison says decides where an end of an interval is put, and nothing else. One that
//     contradicts itself, or a key, leads to wrong answers, never to a broken tree.
//
// How: the ends of all intervals, low and high ones, stand in one B-tree, in the order of their
// values. Each entry of a block knows the furthest high end of the intervals whose low end is at it
// or below it, and that of all entries of the block up to it. A value stands between two ends; the
// intervals that contain it are those whose low end stands before it and whose high end does not. A
// block whose furthest high end stands before it is not entered. Ends that are in the tree are
// compared by where they stand: the way from the root to an end, read as a number.
//
// What a search takes is the memory that it waits for, not the comparisons. So an end has a key, as
// the server's sorts have: eight bytes that come first in each comparison, so that most need no
// other. The keys of a block stand side by side, and so do those of the furthest ends. In binary
// trees, whose ends are all over the memory, a search among many ends took ten times as long.
//
// Costs, of n intervals: O(log n) to insert or remove one. A value costs O(log n), and O(1) for
// each interval that contains it where the low ends of these follow each other in the tree; each
// that stands alone may cost O(log n), without a comparison. Equal low ends stand in the order of
// their high ends, so intervals that are open to one side always follow each other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/interval_tree.hpp"

namespace live_queries {

// Of `Node`s, each derived from an Interval. Zeroed memory is an empty index.
//
// A comparison is given with each call: compare(a, b) is below, at or above 0 as `a` is less than,
// equal to or greater than `b`. It, or `visit`, must not use this index, but may leave. So may
// allocate(), which gives the memory of a Block. release(Block*) takes it back, and does not leave.
template <class Node>
class IntervalIndex {
 public:
  using Value = typename Node::ValueType;
  using Block = IntervalBlock<Value>;

  // `node` is in no index. One that no value can be in (its low end is above the high one, or
  // equal and not both inclusive) is not put into this one: it is never found, and may be removed.
  // Calls compare(Value, Value) O(log n) times.
  template <class Compare, class Allocate>
  void Insert(Node* node, const Compare& compare, const Allocate& allocate) {
    Interval<Value>& interval = *node;
    interval.low.interval = interval.high.interval = &interval;
    if (interval.low.kind == BoundKind::kUnbounded) interval.low.key = 0;
    if (interval.high.kind == BoundKind::kUnbounded) interval.high.key = UINT64_MAX;
    if (IsEmpty(interval, compare)) return;
    // Of ends that stand together the high ones are first, then the low ones, by their high ends.
    End* const before_high = FindBefore(
        interval.high.key, [&](const End& end) { return Order(end, interval.high, compare) < 0; });
    const int64_t place = Tree::PlaceOf(before_high);
    End* const before_low = FindBefore(interval.low.key, [&](const End& end) {
      const int order = Order(end, interval.low, compare);
      return order != 0 ? order < 0 : !end.IsLow() || Tree::PlaceOf(&end.interval->high) <= place;
    });
    tree_.Reserve(before_high, before_low, allocate);
    // Nothing leaves from here on. If both go to the same gap, the low one comes to be first.
    tree_.Add(&interval.high, before_high);
    tree_.Add(&interval.low, before_low);
  }

  // Nothing happens if it is in no index.
  template <class Release>
  void Remove(Node* node, const Release& release) {
    Interval<Value>& interval = *node;
    if (interval.low.block == nullptr) return;
    tree_.Remove(&interval.low, release);  // with it goes all that knows the other
    tree_.Remove(&interval.high, release);
  }

  // Calls visit(Node&) for each interval that contains `value`, which may be of another type, but
  // has a key like theirs: compare(Value, value) is called O(log n) times, before the first visit.
  template <class Other, class Compare, class Visit>
  void ForEachContaining(const Other& value, uint64_t key, const Compare& compare,
                         Visit&& visit) const {
    Step steps[Tree::kMostLevels];
    const int64_t place = Descend(key, steps, [&](const End& end) {
      if (end.kind == BoundKind::kUnbounded) return end.IsLow();
      const int order = compare(end.value, value);
      return order != 0 ? order < 0 : !StandsAfterValue(end);
    });
    if (place < 0) return;
    const Point point = {key, place};
    for (int level = tree_.root()->level; level > 0; --level)
      VisitAcross(steps[level].block, steps[level].before - 1, point, visit);
    VisitAcross(steps[0].block, steps[0].before, point, visit);
  }

 private:
  using Tree = IntervalTree<Value>;
  using End = IntervalEnd<Value>;

  // On the way down to a point: what stands before it in a block.
  struct Step {
    const Block* block;
    int before;  // so many of its entries begin before it
  };
  // Between two ends.
  struct Point {
    uint64_t key;
    int64_t place;  // of the end before it
  };

  // The value stands between the ends that stand right before it and those right after it.
  static bool StandsAfterValue(const End& end) {
    return end.IsLow() == (end.kind == BoundKind::kExclusive);
  }

  template <class Compare>
  static int CompareEnds(const End& a, const End& b, const Compare& compare) {
    if (a.key != b.key) return a.key < b.key ? -1 : 1;
    return compare(a.value, b.value);
  }

  template <class Compare>
  static bool IsEmpty(const Interval<Value>& interval, const Compare& compare) {
    const End& low = interval.low;
    const End& high = interval.high;
    if (low.kind == BoundKind::kUnbounded || high.kind == BoundKind::kUnbounded) return false;
    const int order = CompareEnds(low, high, compare);
    if (order != 0) return order > 0;
    return low.kind == BoundKind::kExclusive || high.kind == BoundKind::kExclusive;
  }

  // -1: before all values, 1: after them.
  static int Beyond(const End& end) {
    if (end.kind != BoundKind::kUnbounded) return 0;
    return end.IsLow() ? -1 : 1;
  }

  template <class Compare>
  static int Order(const End& a, const End& b, const Compare& compare) {
    if (Beyond(a) != 0 || Beyond(b) != 0) return Beyond(a) - Beyond(b);
    const int order = CompareEnds(a, b, compare);
    return order != 0 ? order : StandsAfterValue(a) - StandsAfterValue(b);
  }

  static const End& FirstOf(const Block* block, int index) {
    for (; block->level > 0; index = 0) block = block->entries[index].block;
    return *block->entries[index].end;
  }

  // How many of `count` keys are less. Without branches, which nothing could foresee.
  static int CountLess(const uint64_t* keys, int count, uint64_t key) {
    const uint64_t* first = keys;
    while (count > 1) {
      const int half = count / 2;
      first = first[half - 1] < key ? first + half : first;
      count -= half;
    }
    return static_cast<int>(first - keys) + (*first < key);
  }

  // How many of the entries begin before a point. is_before(End) is asked where keys are equal.
  template <class IsBefore>
  static int CountBefore(const Block* block, uint64_t key, const IsBefore& is_before) {
    int before = CountLess(block->keys, block->count, key);
    int after = before;
    while (after < block->count && block->keys[after] == key) ++after;
    while (before < after) {
      const int middle = (before + after) / 2;
      if (is_before(FirstOf(block, middle)))
        before = middle + 1;
      else
        after = middle;
    }
    return before;
  }

  // What a search reads of a block, all of it at once.
  static void Prefetch(const Block* block) {
    constexpr size_t kLine = 64;
    const char* bytes = reinterpret_cast<const char*>(block->keys);
    for (size_t at = 0; at < sizeof block->keys + sizeof block->furthest_keys; at += kLine)
      __builtin_prefetch(bytes + at);
    __builtin_prefetch(&block->level);
  }

  // Leaves in `steps` the way down to a point, by levels; returns the place of the end before it.
  template <class IsBefore>
  int64_t Descend(uint64_t key, Step* steps, const IsBefore& is_before) const {
    const Block* block = tree_.root();
    if (block == nullptr) return -1;
    int64_t place = 0;
    while (const int before = CountBefore(block, key, is_before)) {
      steps[block->level] = {block, before};
      place = (place << Tree::kBitsOfLevel) | (before - 1);
      if (block->level == 0) return place;
      block = block->entries[before - 1].block;
      Prefetch(block);
    }
    return -1;
  }

  // The last end that is before a point; nullptr: none.
  template <class IsBefore>
  End* FindBefore(uint64_t key, const IsBefore& is_before) const {
    Step steps[Tree::kMostLevels];
    if (Descend(key, steps, is_before) < 0) return nullptr;
    return steps[0].block->entries[steps[0].before - 1].end;
  }

  static bool IsAfter(const End* end, const Point& point) {
    if (end == nullptr) return false;
    return end->key != point.key ? end->key > point.key : Tree::PlaceOf(end) > point.place;
  }

  // At the first entries of a block, all of which are before the point. From the last one on: where
  // values have no keys, or equal ones, the first look mostly tells that there is nothing.
  template <class Visit>
  static void VisitAcross(const Block* block, int count, const Point& point, Visit& visit) {
    for (int i = count - 1; i >= 0; --i) {
      if (block->furthest_keys[i] < point.key) continue;
      if (!IsAfter(block->furthest[i], point)) return;
      if (!IsAfter(Tree::FurthestAt(block, i), point)) continue;
      const auto entry = block->entries[i];
      if (block->level == 0)
        visit(static_cast<Node&>(*entry.end->interval));
      else
        VisitAcross(entry.block, entry.block->count, point, visit);
    }
  }

  IntervalTree<Value> tree_;
};

}  // namespace live_queries
