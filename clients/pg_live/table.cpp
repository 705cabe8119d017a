// Measures every cell, then fills up each to the width of its column.
#include "pg_live/table.hpp"

#include <algorithm>
#include <string_view>

#include "pg_live/text.hpp"

namespace pg_live {

std::string CellText(const Json& value, size_t width) {
  switch (value.kind) {
    case Json::Kind::kNull:
      return "NULL";
    case Json::Kind::kArray:
    case Json::Kind::kObject:
      return PrintableStart(value.Dump(), width);
    case Json::Kind::kBool:
    case Json::Kind::kNumber:
    case Json::Kind::kString:
      break;
  }
  return PrintableStart(value.text, width);
}

const Json& CellOf(const Json& row, const std::string& column, size_t at) {
  static const Json kNull;
  // Where it nearly always is; a row may have a thousand columns.
  if (at < row.members.size() && row.members[at].name == column) return row.members[at].value;
  const Json* value = row.Find(column);
  return value == nullptr ? kNull : *value;
}

size_t ColumnWidth(const std::vector<ResultColumn>& columns, size_t at,
                   const std::vector<const Json*>& rows, size_t most) {
  const std::string& name = columns.at(at).name;
  size_t width = DisplayWidth(Printable(name));
  for (const Json* row : rows)
    width = std::max(width, DisplayWidth(CellText(CellOf(*row, name, at), most)));
  return std::min(width, most);
}

std::string TextTable(const std::vector<ResultColumn>& columns,
                      const std::vector<const Json*>& rows) {
  const std::string count =
      "(" + std::to_string(rows.size()) + (rows.size() == 1 ? " row)\n" : " rows)\n");
  if (columns.empty()) return "--\n" + count;
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns.size(); ++i)
    widths.push_back(ColumnWidth(columns, i, rows, kAnyWidth));
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
          return PadTo(CellText(CellOf(*row, columns[i].name, i)), widths[i], columns[i].is_number);
        },
        "|", ' ');
  return out + count;
}

}  // namespace pg_live
