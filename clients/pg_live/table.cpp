// Measures every cell, then fills up each to the width of its column.
#include "pg_live/table.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

#include "pg_live/text.hpp"

namespace pg_live {

std::string CellText(const Json& value) {
  switch (value.kind) {
    case Json::Kind::kNull:
      return "NULL";
    case Json::Kind::kArray:
    case Json::Kind::kObject:
      return Printable(value.Dump());
    case Json::Kind::kBool:
    case Json::Kind::kNumber:
    case Json::Kind::kString:
      break;
  }
  return Printable(value.text);
}

const Json& CellOf(const Json& row, const std::string& column) {
  static const Json kNull;
  const Json* value = row.Find(column);
  return value == nullptr ? kNull : *value;
}

std::vector<size_t> ColumnWidths(const std::vector<ResultColumn>& columns,
                                 const std::vector<const Json*>& rows, size_t most) {
  std::vector<size_t> widths;
  for (const ResultColumn& column : columns) {
    size_t width = DisplayWidth(Printable(column.name));
    for (const Json* row : rows)
      width = std::max(width, DisplayWidth(CellText(CellOf(*row, column.name))));
    widths.push_back(std::min(width, most));
  }
  return widths;
}

std::string TextTable(const std::vector<ResultColumn>& columns,
                      const std::vector<const Json*>& rows) {
  constexpr size_t kAny = std::numeric_limits<size_t>::max();
  const std::vector<size_t> widths = ColumnWidths(columns, rows, kAny);
  std::string out;
  const auto line = [&](const auto& cell, std::string_view between, char fill) {
    std::string text;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (i > 0) text += between;
      text += fill;
      text += cell(i);
      text += fill;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line([&](size_t i) { return PadTo(Printable(columns[i].name), widths[i], false); }, "|", ' ');
  line([&](size_t i) { return std::string(widths[i], '-'); }, "+", '-');
  for (const Json* row : rows)
    line(
        [&](size_t i) {
          return PadTo(CellText(CellOf(*row, columns[i].name)), widths[i], columns[i].is_number);
        },
        "|", ' ');
  out += "(" + std::to_string(rows.size()) + (rows.size() == 1 ? " row)\n" : " rows)\n");
  return out;
}

}  // namespace pg_live
