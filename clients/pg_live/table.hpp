// A result as a table of text.
//
// Owns: what a value looks like in a cell, and how wide columns are. Pure.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "pg_live/json.hpp"
#include "pg_live/result_columns.hpp"

namespace pg_live {

constexpr size_t kAnyWidth = std::numeric_limits<size_t>::max();

// A value on one line, printable; where it is wider than `width` its start, which is wider too.
std::string CellText(const Json& value, size_t width = kAnyWidth);

// The value of a row in the column of that name, which is the one at `at`; NULL where it has none.
const Json& CellOf(const Json& row, const std::string& column, size_t at);

// What the column at `at` takes, at most `most`.
size_t ColumnWidth(const std::vector<ResultColumn>& columns, size_t at,
                   const std::vector<const Json*>& rows, size_t most);

// All of it, as psql would show it, with the number of rows below.
std::string TextTable(const std::vector<ResultColumn>& columns,
                      const std::vector<const Json*>& rows);

}  // namespace pg_live
