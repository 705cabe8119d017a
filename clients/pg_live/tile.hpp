// One result on the screen: its title, its columns, and as many of its rows as there is room for.
//
// Owns: what is seen of it: where it is scrolled to, how wide its columns are, and the rows of the
// moment when it was paused.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg_live/live_query.hpp"
#include "pg_live/marked_rows.hpp"
#include "pg_live/terminal.hpp"

namespace pg_live {

class Tile {
 public:
  explicit Tile(const LiveQuery* query) : query_(query) {}

  const LiveQuery& query() const { return *query_; }
  MarkedRows& marks() { return marks_; }

  // By lines and columns of the result, from what is there now; Draw keeps it within the rows.
  void ScrollBy(long rows, long columns);
  void ScrollToTop() { first_row_ = 0; }
  void ScrollToEnd() { first_row_ = kEnd; }

  // Shows the rows of this moment until it is thawed.
  void Freeze() { frozen_ = query_->result().rows(); }
  void Thaw() { frozen_.reset(); }

  // Into `height` lines from `line` on.
  void Draw(Terminal* terminal, size_t line, size_t height, bool has_focus,
            std::string_view filter);

 private:
  static constexpr size_t kEnd = static_cast<size_t>(-1);

  std::string Title(size_t shown) const;
  void Measure(const std::vector<MarkedRow>& rows, size_t count, size_t width);
  void DrawRow(Terminal* terminal, size_t line, const MarkedRow& row) const;
  void DrawHead(Terminal* terminal, size_t line) const;

  const LiveQuery* query_;
  MarkedRows marks_;
  std::optional<LiveResult::Rows> frozen_;
  size_t first_row_ = 0;
  size_t first_column_ = 0;
  std::vector<size_t> widths_;  // which only grow: columns that jump are hard to read
};

}  // namespace pg_live
