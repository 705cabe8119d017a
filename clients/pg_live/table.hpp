// A result as a table of text.
//
// Owns: what a value looks like in a cell, and how wide columns are. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "pg_live/json.hpp"
#include "pg_live/result_columns.hpp"

namespace pg_live {

// A value on one line, printable.
std::string CellText(const Json& value);

// The value of a row in that column; NULL where it has none.
const Json& CellOf(const Json& row, const std::string& column);

// The columns that a table takes, each no wider than `most`: a line of it has ` cell | cell `.
std::vector<size_t> ColumnWidths(const std::vector<ResultColumn>& columns,
                                 const std::vector<const Json*>& rows, size_t most);

// All of it, as psql would show it, with the number of rows below.
std::string TextTable(const std::vector<ResultColumn>& columns,
                      const std::vector<const Json*>& rows);

}  // namespace pg_live
