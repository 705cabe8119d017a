// A result as text.
#include "../../../test/unit/check.hpp"
#include "pg_live/table.hpp"

using pg_live::CellText;
using pg_live::Json;
using pg_live::ParseJson;
using pg_live::ResultColumn;
using pg_live::TextTable;

TEST(CellsAreOneLine) {
  CHECK_EQ(CellText(*ParseJson("null")), "NULL");
  CHECK_EQ(CellText(*ParseJson("12.50")), "12.50");
  CHECK_EQ(CellText(*ParseJson("true")), "true");
  CHECK_EQ(CellText(*ParseJson(R"("a\nb\u001b")")), "a\\nb\\x1b");
  CHECK_EQ(CellText(*ParseJson(R"({"a" : [1, "x\u001by"]})")), R"({"a":[1,"x\u001by"]})");
}

// As much as is needed to see that it has to be cut.
TEST(ACellMayBeTheStartOfALongValue) {
  Json value = *ParseJson("\"\"");
  value.text = std::string(10000000, 'x');
  CHECK_EQ(CellText(value, 5), "xxxxxx");
  CHECK_EQ(CellText(*ParseJson("[1,22,333]"), 4), "[1,22");
}

// Also where a row lacks a column, or has it in another place.
TEST(ColumnsAreFoundByTheirNames) {
  const Json row = *ParseJson(R"({"a":1,"c":3,"b":2})");
  CHECK_EQ(pg_live::CellOf(row, "a", 0).text, "1");
  CHECK_EQ(pg_live::CellOf(row, "b", 1).text, "2");
  CHECK_EQ(pg_live::CellOf(row, "c", 7).text, "3");
  CHECK(pg_live::CellOf(row, "d", 3).IsNull());
}

TEST(ATableWithoutColumns) {
  const Json row = *ParseJson("{}");
  CHECK_EQ(TextTable({}, {&row, &row}), "--\n(2 rows)\n");
}

TEST(ATableIsAligned) {
  const std::vector<ResultColumn> columns = {{"id", "integer", true}, {"name", "text", false}};
  const Json one = *ParseJson(R"({"id":7,"name":"你好"})");
  const Json two = *ParseJson(R"({"id":1000,"name":null})");
  const Json three = *ParseJson(R"({"id":8})");
  CHECK_EQ(TextTable(columns, {&one, &two, &three}),
           " id   | name\n"
           "------+------\n"
           "    7 | 你好\n"
           " 1000 | NULL\n"
           "    8 | NULL\n"
           "(3 rows)\n");
  CHECK_EQ(TextTable(columns, {&one}), " id | name\n----+------\n  7 | 你好\n(1 row)\n");
}
