// An interval index, and beside it what it must find, by looking at each interval alone. Whatever
// is done is followed by a look at the tree itself. Used by the tests of model/interval_index.hpp.
#pragma once

#include <algorithm>
#include <bit>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "model/interval_index.hpp"

namespace live_queries {

struct Numbered : Interval<int> {
  int number;
  bool is_in;
};

// Counts the comparisons, and leaves at one of them.
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

  explicit IntervalWorld(size_t count) : intervals(count) {
    for (size_t i = 0; i < count; ++i) intervals[i].number = static_cast<int>(i);
  }

  Numbered& Set(size_t number, BoundKind low_kind, int low, BoundKind high_kind, int high) {
    Numbered& interval = intervals[number];
    interval.low.kind = low_kind;
    interval.low.value = low;
    interval.high.kind = high_kind;
    interval.high.value = high;
    return interval;
  }

  // False: a comparison has left.
  bool Insert(Numbered* interval) {
    std::jmp_buf leave;
    comparisons.leave = &leave;
    if (setjmp(leave) != 0) return false;
    index.Insert(interval, Comparing{&comparisons});
    comparisons.left = 0;
    interval->is_in = interval->low.label != 0;
    return true;
  }

  void Remove(Numbered* interval) {
    index.Remove(interval);
    interval->is_in = false;
  }

  // Leaves in `found` who contains `value`, in ascending order. False: a comparison has left.
  bool Find(int value) {
    found.clear();
    std::jmp_buf leave;
    comparisons.leave = &leave;
    if (setjmp(leave) != 0) return false;
    index.ForEachContaining(value, Comparing{&comparisons},
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

  // All bytes but those of one interval.
  std::vector<unsigned char> Bytes(const Numbered* without) const {
    std::vector<unsigned char> bytes(sizeof index + sizeof(Numbered) * intervals.size());
    std::memcpy(bytes.data(), &index, sizeof index);
    unsigned char* next = bytes.data() + sizeof index;
    for (const Numbered& interval : intervals) {
      if (&interval != without) std::memcpy(next, &interval, sizeof interval);
      next += sizeof interval;
    }
    return bytes;
  }

  // What is wrong with the tree; nullptr: nothing. Whether its order is that of the values can be
  // left out, where comparisons lie.
  const char* Wrong(bool with_order = true) const {
    size_t count = 0;
    const End* root = nullptr;
    for (const Numbered& interval : intervals) {
      if ((interval.low.label != 0) != interval.is_in) return "one is in that should not, or not";
      if ((interval.high.label != 0) != interval.is_in) return "one end alone is in";
      if (!interval.is_in) continue;
      count += 2;
      if (with_order && interval.low.label >= interval.high.label) return "ends change places";
      for (const End* end : {&interval.low, &interval.high})
        if (end->parent == nullptr) {
          if (root != nullptr) return "two roots";
          root = end;
        }
    }
    if (root == nullptr) return count == 0 ? nullptr : "no root";
    if (root->label != uint64_t{1} << 63) return "the root has another label";
    const End* last = nullptr;
    Seen seen{0, 0};
    if (const char* wrong = WrongBelow(root, 1, &last, &seen, with_order)) return wrong;
    if (seen.count != count) return "some cannot be reached";
    // The ends were at most twice as many since the last time that the whole tree was built.
    const size_t most = std::bit_width(count * 2 + 1) * 7 / 4 + 1;
    return seen.height <= most ? nullptr : "too high";
  }

  // Whether Find finds what it must and enters no place of the tree that the one above tells to
  // leave out: in such places there is another interval then. Leaves in `entered` how many others
  // there are.
  bool FindsAllAndNoMore(int value) {
    uint64_t label = 0;
    End* root = nullptr;
    for (Numbered& interval : intervals) {
      if (!interval.is_in) continue;
      if (IsBelow(interval.low, value)) label = std::max(label, interval.low.label);
      if (!IsAbove(interval.high, value)) label = std::max(label, interval.high.label);
      for (End* end : {&interval.low, &interval.high})
        if (end->parent == nullptr) root = end;
    }
    Numbered trap{};
    trap.number = -1;
    trap.low.interval = trap.high.interval = &trap;
    trap.low.label = 1;
    trap.low.furthest = &trap.high;
    trap.high.label = UINT64_MAX;
    std::vector<std::pair<End**, End*>> links;
    entered = 0;
    SetTraps(root, label, true, &trap.low, &links);
    const bool finds = FindsAll(value);
    for (const auto& [link, end] : links) *link = end;
    return finds;
  }

  std::vector<Numbered> intervals;
  IntervalIndex<Numbered> index;
  Comparisons comparisons;
  std::vector<int> found;
  std::vector<int> expected;
  size_t entered = 0;

 private:
  struct Seen {
    size_t count;
    size_t height;
  };

  // `searched`: on the way to where the value is, which is searched in any case.
  void SetTraps(End* end, uint64_t label, bool searched, End* trap,
                std::vector<std::pair<End**, End*>>* links) {
    if (end == nullptr) return;
    ++entered;
    const bool before = end->label <= label;
    const bool across = end->furthest != nullptr && end->furthest->label > label;
    for (End** link : {&end->left, &end->right}) {
      const bool to_right = link == &end->right;
      if ((searched && to_right == before) || (across && (!to_right || before))) {
        SetTraps(*link, label, searched && to_right == before, trap, links);
      } else if (*link != nullptr) {
        links->emplace_back(link, *link);
        *link = trap;
      }
    }
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
    return !a.IsLow() || a.interval->high.label < b.interval->high.label;
  }

  static const char* WrongBelow(const End* end, size_t depth, const End** last, Seen* seen,
                                bool with_order) {
    const End* furthest = end->IsLow() ? &end->interval->high : nullptr;
    const auto look = [&](const End* child, int64_t side) -> const char* {
      if (child == nullptr) return nullptr;
      const int64_t half = static_cast<int64_t>((end->label & -end->label) / 2);
      if (child->parent != end) return "another one's child";
      if (child->label != end->label + static_cast<uint64_t>(side * half)) return "not the path";
      if (const char* wrong = WrongBelow(child, depth + 1, last, seen, with_order)) return wrong;
      if (furthest == nullptr ||
          (child->furthest != nullptr && child->furthest->label > furthest->label))
        furthest = child->furthest;
      return nullptr;
    };
    if (const char* wrong = look(end->left, -1)) return wrong;
    if (*last != nullptr && (*last)->label >= end->label) return "labels do not rise";
    if (*last != nullptr && with_order && !InOrder(**last, *end)) return "not in order";
    *last = end;
    ++seen->count;
    seen->height = std::max(seen->height, depth);
    if (const char* wrong = look(end->right, 1)) return wrong;
    return end->furthest == furthest ? nullptr : "another one is the furthest";
  }
};

}  // namespace live_queries
