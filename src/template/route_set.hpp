// The routes that one row is for: what the routing index finds, and what the strategies compare of
// an old row and a new one. Process: decoder.
#pragma once

#include <algorithm>
#include <span>

#include "pg/postgres.hpp"

namespace live_queries {

struct Route;

using Routes = std::span<Route* const>;

// Sorted by address, each once. It is used for one row after the other, so that it grows but once.
// Its memory is `context`.
class RouteSet {
 public:
  void Prepare(MemoryContext context) {
    *this = RouteSet();
    context_ = context;
  }

  void Clear() { count_ = 0; }
  // In the order of addresses, or else followed by Sort.
  void Add(Route* route) {
    if (count_ == capacity_) Grow();
    routes_[count_++] = route;
  }
  void Assign(Routes routes) {
    Clear();
    for (Route* route : routes) Add(route);
  }

  // Puts what was added in any order in order, each once.
  void Sort() {
    if (count_ < 2) return;
    std::sort(routes_, routes_ + count_);
    count_ = static_cast<size_t>(std::unique(routes_, routes_ + count_) - routes_);
  }

  bool empty() const { return count_ == 0; }
  std::span<Route*> All() { return {routes_, count_}; }

 private:
  void Grow() {
    capacity_ = capacity_ == 0 ? 4 : capacity_ * 2;
    const size_t bytes = sizeof(Route*) * capacity_;
    routes_ = static_cast<Route**>(routes_ == nullptr ? MemoryContextAlloc(context_, bytes)
                                                      : repalloc(routes_, bytes));
  }

  MemoryContext context_ = nullptr;
  Route** routes_ = nullptr;
  size_t count_ = 0;
  size_t capacity_ = 0;
};

}  // namespace live_queries
