// Draws the rows that are seen; all others are only counted, and looked at by the filter.
#include "pg_live/tile.hpp"

#include <algorithm>

#include "pg_live/table.hpp"
#include "pg_live/text.hpp"

namespace pg_live {

namespace {

constexpr size_t kBetweenColumns = 2;

Style StyleOf(Mark mark) {
  switch (mark) {
    case Mark::kEntered:
      return Style::kEntered;
    case Mark::kChanged:
      return Style::kChanged;
    case Mark::kLeft:
      return Style::kLeft;
    case Mark::kNone:
      break;
  }
  return Style::kPlain;
}

// So that marks can be told without colours too.
std::string_view SignOf(Mark mark) {
  switch (mark) {
    case Mark::kEntered:
      return "+";
    case Mark::kChanged:
      return "~";
    case Mark::kLeft:
      return "-";
    case Mark::kNone:
      break;
  }
  return " ";
}

}  // namespace

void Tile::ScrollBy(long rows, long columns) {
  const auto moved = [](size_t from, long by) {
    return by < 0 && from < static_cast<size_t>(-by) ? 0 : from + static_cast<size_t>(by);
  };
  first_row_ = moved(first_row_, rows);
  const size_t count = query_->columns().size();
  first_column_ = std::min(moved(first_column_, columns), count == 0 ? 0 : count - 1);
}

std::string Tile::Title(size_t shown) const {
  const size_t count = (frozen_ ? *frozen_ : query_->result().rows()).size();
  std::string title = std::to_string(query_->number()) + ": ";
  title += std::to_string(count) + (count == 1 ? " row" : " rows");
  if (shown != count) title += ", " + std::to_string(shown) + " shown";
  title += "  " + query_->strategy();
  if (query_->is_reset()) title += "  RESET, to be read again";
  if (query_->has_ended()) title += "  ENDED: " + OneLine(query_->ended());
  title += "  " + OneLine(query_->text().query);
  for (const std::string& param : query_->text().params) title += " [" + Printable(param) + "]";
  return title;
}

// As many columns as are seen.
void Tile::Measure(const std::vector<MarkedRow>& rows, size_t count, size_t width) {
  constexpr size_t kLeastCell = 8;
  const size_t most = std::max(kLeastCell, width > kBetweenColumns ? width - kBetweenColumns : 0);
  std::vector<const Json*> seen;
  for (size_t i = first_row_; i < std::min(rows.size(), first_row_ + count); ++i)
    seen.push_back(rows[i].row);
  widths_.resize(query_->columns().size(), 0);
  size_t at = kBetweenColumns;
  for (size_t i = first_column_; i < widths_.size() && at < width; ++i) {
    const size_t needed = ColumnWidth(query_->columns(), i, seen, most);
    widths_[i] = std::min(std::max(widths_[i], needed), most);
    at += widths_[i] + kBetweenColumns;
  }
}

void Tile::DrawHead(Terminal* terminal, size_t line) const {
  size_t at = kBetweenColumns;
  for (size_t i = first_column_; i < query_->columns().size() && at < terminal->width(); ++i) {
    const ResultColumn& column = query_->columns()[i];
    const size_t width = std::min(widths_[i], terminal->width() - at);
    terminal->Put(line, at, PadTo(Printable(column.name), width, column.is_number), Style::kHead);
    at += widths_[i] + kBetweenColumns;
  }
}

void Tile::DrawRow(Terminal* terminal, size_t line, const MarkedRow& row) const {
  terminal->Put(line, 0, SignOf(row.mark), StyleOf(row.mark));
  size_t at = kBetweenColumns;
  for (size_t i = first_column_; i < query_->columns().size() && at < terminal->width(); ++i) {
    const ResultColumn& column = query_->columns()[i];
    const Json& value = CellOf(*row.row, column.name, i);
    Style style = StyleOf(row.mark);
    const bool is_same =
        row.mark == Mark::kChanged && row.old != nullptr && row.old->Find(column.name) == nullptr;
    if (row.mark == Mark::kNone || is_same) style = value.IsNull() ? Style::kDim : Style::kPlain;
    // What a wide column has to fill up with does not count as cut.
    const size_t width = std::min(widths_[i], terminal->width() - at);
    terminal->Put(line, at, PadTo(CellText(value, width), width, column.is_number), style);
    at += widths_[i] + kBetweenColumns;
  }
}

void Tile::Draw(Terminal* terminal, size_t line, size_t height, bool has_focus,
                std::string_view filter) {
  if (height == 0) return;
  static const MarkedRows kNoMarks;
  const MarkedRows& marks = frozen_ ? kNoMarks : marks_;
  const std::vector<MarkedRow> rows =
      marks.Show(frozen_ ? *frozen_ : query_->result().rows(), query_->columns(), filter);
  const size_t shown = static_cast<size_t>(std::count_if(
      rows.begin(), rows.end(), [](const MarkedRow& row) { return row.mark != Mark::kLeft; }));
  terminal->PutLine(line, Title(shown), has_focus ? Style::kFocus : Style::kTitle);
  if (height < 3) return;
  const size_t room = height - 2;
  first_row_ = std::min(first_row_, rows.size() > room ? rows.size() - room : 0);
  Measure(rows, room, terminal->width());
  DrawHead(terminal, line + 1);
  for (size_t i = 0; i < room && first_row_ + i < rows.size(); ++i)
    DrawRow(terminal, line + 2 + i, rows[first_row_ + i]);
}

}  // namespace pg_live
