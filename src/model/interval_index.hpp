// An index of intervals: which of them contain a value, found with O(log n) comparisons.
//
// Owns: that search. Used for live queries that are routed by a range, where an interval is what
// one route wants of a column. Pure.
//
// Comparisons call a function of the value's type, which in a server may be written by a user: it
// may be slow, it may leave by longjmp, it may even contradict itself. So:
//
//   * Insert compares first and changes the index afterwards: if a comparison leaves, nothing has
//     happened. Remove compares nothing at all, so it may be called where no function may run.
//   * What a comparison says decides where an end of an interval is put, and nothing else. One that
//     contradicts itself leads to wrong answers, never to a broken tree.
//
// How: the ends of all intervals, low and high ones, stand in one binary search tree, in the order
// of their values. Each end has a label, a number that rises along that order, so that ends are
// compared by labels once they are in the tree. Each place of the tree knows the furthest high end
// of the intervals whose low end is at it or below it. A value stands between two ends; the
// intervals that contain it are those whose low end has a label up to there, and whose high end a
// greater one. A part of the tree whose furthest high end is not greater is not entered.
//
// The tree is a scapegoat tree: where an end gets too deep, the smallest part of the tree above it
// that is out of balance is built anew (Galperin and Rivest, "Scapegoat trees", 1993). There are no
// rotations, so the path from the root to a place, read as bits, can be the label of that place;
// labels change where a part is built anew, but never their order. A tree with rotations would need
// another structure to keep labels, and one without labels would have to compare high ends when it
// loses one. Of the libraries that were looked at, Boost.Intrusive and PostgreSQL's rbtree keep
// nothing of a subtree, and Boost.ICL allocates and throws.
//
// Costs, of n intervals: O(log n) to remove one, and to insert one on average over all insertions
// (a single one may build the tree anew, which is O(n)). A value costs O(log n), and O(1) for each
// interval that contains it where the low ends of these follow each other in the tree; each that
// stands alone may cost O(log n), without a comparison. Equal low ends stand in the order of their
// high ends, so intervals that are open to one side always follow each other.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace live_queries {

enum class BoundKind : uint8_t {
  kUnbounded,  // no value is beyond it; it has none itself
  kInclusive,
  kExclusive,
};

template <class Value>
struct Interval;

// One end of an interval. Who inserts sets `value` and `kind`; the rest is the index's own.
template <class Value>
struct IntervalEnd {
  Value value{};
  BoundKind kind = BoundKind::kUnbounded;

  Interval<Value>* interval = nullptr;
  IntervalEnd* parent = nullptr;
  IntervalEnd* left = nullptr;
  IntervalEnd* right = nullptr;
  IntervalEnd* furthest = nullptr;  // high end of those whose low end is here or below; or nullptr
  uint64_t label = 0;               // 0: in no index

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

// Of `Node`s, each derived from an Interval. Zeroed memory is an empty index; it owns nothing.
//
// A comparison is given with each call: compare(a, b) is below, at or above 0 as `a` is less than,
// equal to or greater than `b`. It, or `visit`, must not use this index, but may leave.
template <class Node>
class IntervalIndex {
 public:
  using Value = typename Node::ValueType;

  // `node` is in no index. One that no value can be in (its low end is above the high one, or
  // equal and not both inclusive) is not put into this one: it is never found, and may be removed.
  // Calls compare(Value, Value) O(log n) times.
  template <class Compare>
  void Insert(Node* node, const Compare& compare) {
    Interval<Value>& interval = *node;
    interval.low.interval = interval.high.interval = &interval;
    if (IsEmpty(interval, compare)) return;
    // Of ends that stand together the high ones are first, then the low ones, by their high ends.
    End* const before_high =
        FindBefore([&](const End& end) { return Order(end, interval.high, compare) < 0; });
    const uint64_t high_label = before_high == nullptr ? 0 : before_high->label;
    End* const before_low = FindBefore([&](const End& end) {
      const int order = Order(end, interval.low, compare);
      return order != 0 ? order < 0 : !end.IsLow() || end.interval->high.label <= high_label;
    });
    // Nothing is compared from here on. If both go to the same gap, the low one comes to be first.
    Link(&interval.high, before_high);
    Link(&interval.low, before_low);
  }

  // Nothing happens if it is in no index.
  void Remove(Node* node) {
    Interval<Value>& interval = *node;
    if (interval.low.label == 0) return;
    Unlink(&interval.low);  // with it goes all that knows the other
    Unlink(&interval.high);
    if (count_ >= most_ / 2) return;
    most_ = count_;
    if (root_ != nullptr) Rebuild(root_, count_);
  }

  // Calls visit(Node&) for each interval that contains `value`, which may be of another type:
  // compare(Value, value) is called O(log n) times, before the first visit.
  template <class Other, class Compare, class Visit>
  void ForEachContaining(const Other& value, const Compare& compare, Visit&& visit) const {
    const End* before = FindBefore([&](const End& end) {
      if (end.kind == BoundKind::kUnbounded) return end.IsLow();
      const int order = compare(end.value, value);
      return order != 0 ? order < 0 : !StandsAfterValue(end);
    });
    if (before != nullptr) VisitAcross(root_, before->label, visit);
  }

 private:
  using End = IntervalEnd<Value>;

  // The label of the root. The children of a place stand half as far from it, to either side, as
  // it stands from its own parent; so the lowest bit of a label tells how deep it is.
  static constexpr uint64_t kRootLabel = uint64_t{1} << 63;
  static constexpr uint64_t LowestBit(uint64_t label) { return label & -label; }
  static constexpr size_t Depth(const End* end) { return 63 - std::countr_zero(end->label); }
  // How deep a tree of so many ends may be; a balanced one is bit_width(count) - 1 deep. Labels
  // suffice for 2^35 ends.
  static constexpr size_t MostDepth(size_t count) { return std::bit_width(count) * 7 / 4; }

  // The value stands between the ends that stand right before it and those right after it.
  static bool StandsAfterValue(const End& end) {
    return end.IsLow() == (end.kind == BoundKind::kExclusive);
  }

  template <class Compare>
  static bool IsEmpty(const Interval<Value>& interval, const Compare& compare) {
    const End& low = interval.low;
    const End& high = interval.high;
    if (low.kind == BoundKind::kUnbounded || high.kind == BoundKind::kUnbounded) return false;
    const int order = compare(low.value, high.value);
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
    const int order = compare(a.value, b.value);
    return order != 0 ? order : StandsAfterValue(a) - StandsAfterValue(b);
  }

  // The last end that is before a point; nullptr: none.
  template <class IsBefore>
  End* FindBefore(const IsBefore& is_before) const {
    End* before = nullptr;
    for (End* end = root_; end != nullptr;) {
      if (is_before(*end)) {
        before = end;
        end = end->right;
      } else {
        end = end->left;
      }
    }
    return before;
  }

  // Of the low ends of a part of the tree, those up to `label` whose high ends are beyond it.
  template <class Visit>
  static void VisitAcross(const End* top, uint64_t label, Visit& visit) {
    for (const End* end = top; end != nullptr;) {
      if (end->furthest == nullptr || end->furthest->label <= label) return;
      if (end->label > label) {
        end = end->left;
        continue;
      }
      VisitAcross(end->left, label, visit);
      if (end->IsLow() && end->interval->high.label > label)
        visit(static_cast<Node&>(*end->interval));
      end = end->right;
    }
  }

  static End* Leftmost(End* end) {
    while (end->left != nullptr) end = end->left;
    return end;
  }
  static End* Rightmost(End* end) {
    while (end->right != nullptr) end = end->right;
    return end;
  }

  // What leads to an end, by its parent and its label.
  End*& LinkTo(const End* end) {
    if (end->parent == nullptr) return root_;
    return end->label < end->parent->label ? end->parent->left : end->parent->right;
  }

  static End* Further(End* a, End* b) {
    if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
    return a->label < b->label ? b : a;
  }

  static void FindFurthest(End* end) {
    End* furthest = end->IsLow() ? &end->interval->high : nullptr;
    if (end->left != nullptr) furthest = Further(furthest, end->left->furthest);
    if (end->right != nullptr) furthest = Further(furthest, end->right->furthest);
    end->furthest = furthest;
  }

  // Adds a leaf, right after `before` (nullptr: as the first).
  void Link(End* end, End* before) {
    End* const later = before == nullptr ? root_ : before->right;  // what it is to be the left of
    End* const parent = later == nullptr ? before : Leftmost(later);
    if (parent == nullptr)
      end->label = kRootLabel;
    else if (later == nullptr)
      end->label = parent->label + LowestBit(parent->label) / 2;
    else
      end->label = parent->label - LowestBit(parent->label) / 2;
    end->parent = parent;
    end->left = end->right = nullptr;
    LinkTo(end) = end;
    FindFurthest(end);
    for (End* up = parent; up != nullptr; up = up->parent) {
      End* const furthest = Further(up->furthest, end->furthest);
      if (furthest == up->furthest) break;
      up->furthest = furthest;
    }
    if (++count_ > most_) most_ = count_;
    if (Depth(end) > MostDepth(most_)) Balance(end);
  }

  void Unlink(End* end) {
    // It changes places with a neighbour until nothing is below it.
    while (end->left != nullptr || end->right != nullptr)
      Exchange(end, end->right != nullptr ? Leftmost(end->right) : Rightmost(end->left));
    LinkTo(end) = nullptr;
    end->label = 0;
    --count_;
    for (End* up = end->parent; up != nullptr; up = up->parent) FindFurthest(up);
  }

  // Of two ends of which no other stands between, and `lower` is below `upper`. What is furthest
  // is not up to date then, from there up.
  void Exchange(End* upper, End* lower) {
    std::swap(upper->label, lower->label);
    std::swap(upper->parent, lower->parent);
    std::swap(upper->left, lower->left);
    std::swap(upper->right, lower->right);
    // Where one was the other's child, it would be its own now.
    if (lower->left == lower) lower->left = upper;
    if (lower->right == lower) lower->right = upper;
    Attach(lower);  // first, since it may be the parent
    Attach(upper);
  }

  void Attach(End* end) {
    LinkTo(end) = end;
    if (end->left != nullptr) end->left->parent = end;
    if (end->right != nullptr) end->right->parent = end;
  }

  // Builds the smallest part of the tree anew in which `leaf` is too deep. In the whole tree it is.
  void Balance(const End* leaf) {
    const End* top = leaf;
    size_t count = 1;
    for (size_t depth = 0; depth <= MostDepth(count); ++depth) {
      const End* const parent = top->parent;
      count += 1 + Count(top == parent->left ? parent->right : parent->left);
      top = parent;
    }
    Rebuild(const_cast<End*>(top), count);
  }

  static size_t Count(const End* top) {
    return top == nullptr ? 0 : 1 + Count(top->left) + Count(top->right);
  }

  void Rebuild(End* top, size_t count) {
    End* const parent = top->parent;
    End*& link = LinkTo(top);
    const uint64_t label = top->label;
    End* rest = ToList(top, nullptr);
    link = FromList(rest, count, label);
    link->parent = parent;
    FindAllFurthest(link);  // since it needs labels
  }

  // The ends of a part of the tree in their order, linked by `right`, and `rest` after them.
  static End* ToList(End* top, End* rest) {
    if (top == nullptr) return rest;
    top->right = ToList(top->right, rest);
    return ToList(top->left, top);
  }

  // Takes so many from the list.
  static End* FromList(End*& rest, size_t count, uint64_t label) {
    if (count == 0) return nullptr;
    const uint64_t half = LowestBit(label) / 2;
    End* const left = FromList(rest, count / 2, label - half);
    End* const top = rest;
    rest = rest->right;
    top->label = label;
    top->left = left;
    top->right = FromList(rest, count - count / 2 - 1, label + half);
    if (top->left != nullptr) top->left->parent = top;
    if (top->right != nullptr) top->right->parent = top;
    return top;
  }

  static void FindAllFurthest(End* top) {
    if (top == nullptr) return;
    FindAllFurthest(top->left);
    FindAllFurthest(top->right);
    FindFurthest(top);
  }

  End* root_ = nullptr;
  size_t count_ = 0;  // of ends
  size_t most_ = 0;   // since the whole tree was built anew for the last time
};

}  // namespace live_queries
