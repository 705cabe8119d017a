// A result kept in step.
#include "../../../test/unit/check.hpp"
#include "pg_live/live_result.hpp"

using pg_live::Difference;
using pg_live::LiveResult;
using pg_live::ParseJson;
using pg_live::ParseMessage;
using pg_live::ParseShape;
using pg_live::Row;

namespace {

Row RowOf(const std::string& key, const std::string& row) { return {key, *ParseJson(row)}; }

std::string Rows(const LiveResult& result) {
  std::string text;
  for (const Row& row : result.rows()) text += row.key + row.row.Dump();
  return text;
}

std::string Signs(const std::vector<Difference>& differences) {
  std::string text;
  for (const Difference& difference : differences) {
    text += difference.kind == Difference::Kind::kEntered   ? '+'
            : difference.kind == Difference::Kind::kChanged ? '~'
                                                            : '-';
    text += difference.key;
    if (!difference.old.IsNull()) text += difference.old.Dump();
  }
  return text;
}

// Applies changes, given as JSON; what became of them, or "out of step".
std::string Apply(LiveResult* result, const std::string& changes) {
  std::vector<Difference> differences;
  const auto message = ParseMessage(R"({"type":"changes","changes":[)" + changes + "]}");
  return result->Apply(message->changes, &differences) ? Signs(differences) : "out of step";
}

LiveResult Numbers() {
  LiveResult result;
  result.Replace({RowOf("[1]", R"({"n":10})"), RowOf("[2]", R"({"n":20})")});
  return result;
}

}  // namespace

TEST(ChangesByKey) {
  LiveResult result = Numbers();
  CHECK_EQ(Apply(&result, R"({"op":"insert","key":[3],"row":{"n":5}},)"
                          R"({"op":"update","key":[1],"row":{"n":11},"old":{"n":10}},)"
                          R"({"op":"delete","key":[2],"row":{"n":20}})"),
           R"(+[3]~[1]{"n":10}-[2])");
  CHECK_EQ(Rows(result), R"([1]{"n":11}[3]{"n":5})");
  CHECK_EQ(Apply(&result, R"({"op":"clear"},{"op":"insert","key":[9],"row":{"n":9}})"),
           "-[1]-[3]+[9]");
  CHECK_EQ(Rows(result), R"([9]{"n":9})");
}

TEST(FormerValuesThatAMessageLacksAreKnown) {
  LiveResult result = Numbers();
  CHECK_EQ(Apply(&result, R"({"op":"update","key":[1],"row":{"n":11}})"), R"(~[1]{"n":10})");
  CHECK_EQ(Apply(&result, R"({"op":"delete","key":[1],"row":{}})"), "-[1]");
}

TEST(WhatDoesNotFitIsNoticed) {
  LiveResult result = Numbers();
  CHECK_EQ(Apply(&result, R"({"op":"update","key":[7],"row":{"n":1}})"), "out of step");
  CHECK_EQ(Apply(&result, R"({"op":"delete","key":[7],"row":{"n":1}})"), "out of step");
  CHECK_EQ(Apply(&result, R"({"op":"insert","key":[7],"row":{"n":1},"position":3})"),
           "out of step");
}

TEST(OfWhatDoesNotFitNothingIsApplied) {
  LiveResult result = Numbers();
  const std::string before = Rows(result);
  const auto does_not_fit = [&](const std::string& changes) {
    CHECK_EQ(Apply(&result, changes), "out of step");
    CHECK_EQ(Rows(result), before);
  };
  const std::string insert = R"({"op":"insert","key":[3],"row":{"n":5}},)";
  const std::string placed = R"({"op":"insert","key":[3],"row":{"n":5},"position":0},)";
  const std::string twice =
      R"({"op":"delete","key":[1],"row":{}},{"op":"delete","key":[1],"row":{}})";
  does_not_fit(insert + R"({"op":"update","key":[7],"row":{"n":1}})");
  does_not_fit(insert + twice);
  does_not_fit(R"({"op":"clear"},{"op":"delete","key":[1],"row":{}})");
  does_not_fit(placed + twice);
  does_not_fit(placed + R"({"op":"update","key":[1],"row":{"n":1}})");
  does_not_fit(R"({"op":"clear"},)" + placed +
               R"({"op":"insert","key":[4],"row":{},"position":2})");
  CHECK_EQ(Apply(&result, insert + R"({"op":"delete","key":[3],"row":{}})"), "+[3]-[3]");
  CHECK_EQ(Rows(result), before);
}

TEST(EqualRowsAreCounted) {
  LiveResult result;
  result.Replace({RowOf("[5]", R"({"n":5})"), RowOf("[5]", R"({"n":5})")});
  CHECK_EQ(Apply(&result, R"({"op":"delete","key":[5],"row":{"n":5}})"), "-[5]");
  CHECK_EQ(Rows(result), R"([5]{"n":5})");
  CHECK_EQ(Apply(&result, R"({"op":"insert","key":[5],"row":{"n":5}})"), "+[5]");
  CHECK_EQ(result.rows().size(), 2U);
}

TEST(PositionsMakeAList) {
  LiveResult result;
  result.Replace({RowOf("[1]", "{}"), RowOf("[2]", "{}"), RowOf("[3]", "{}")});
  // 4 comes to the front, 1 behind 2, and 3 leaves at the end.
  CHECK_EQ(Apply(&result, R"({"op":"delete","key":[3],"row":{}},)"
                          R"({"op":"update","key":[1],"row":{},"old":{},"position":2},)"
                          R"({"op":"insert","key":[4],"row":{},"position":0})"),
           "-[3]~[1]{}+[4]");
  CHECK_EQ(Rows(result), "[4]{}[2]{}[1]{}");
}

TEST(OfEqualRowsInAListTheFirstIsTaken) {
  LiveResult result;
  result.Replace({RowOf("[1]", "{}"), RowOf("[2]", "{}"), RowOf("[1]", "{}")});
  CHECK_EQ(Apply(&result, R"({"op":"delete","key":[1],"row":{}},)"
                          R"({"op":"insert","key":[3],"row":{},"position":2})"),
           "-[1]+[3]");
  CHECK_EQ(Rows(result), "[2]{}[1]{}[3]{}");
}

TEST(RowsWithoutAPositionAreOrdered) {
  const auto shape = ParseShape(
      R"([{"name":"n","type":"integer","order":0,"descending":true,"nulls_first":false},)"
      R"({"name":"t","type":"text","order":1,"descending":false,"nulls_first":true}])");
  LiveResult result;
  result.SetOrder(shape.order);
  result.Replace({RowOf("[1]", R"({"n":10,"t":"b"})"), RowOf("[2]", R"({"n":9,"t":"a"})")});
  CHECK_EQ(Apply(&result, R"({"op":"insert","key":[3],"row":{"n":10,"t":"a"}},)"
                          R"({"op":"insert","key":[4],"row":{"n":null,"t":"a"}},)"
                          R"({"op":"insert","key":[5],"row":{"n":9,"t":null}})"),
           "+[3]+[4]+[5]");
  CHECK_EQ(Rows(result), R"([3]{"n":10,"t":"a"}[1]{"n":10,"t":"b"}[5]{"n":9,"t":null})"
                         R"([2]{"n":9,"t":"a"}[4]{"n":null,"t":"a"})");
  CHECK_EQ(Apply(&result, R"({"op":"update","key":[2],"row":{"n":100,"t":"a"},"old":{"n":9}})"),
           R"(~[2]{"n":9})");
  CHECK(Rows(result).starts_with("[2]"));
}

TEST(APlaceWithoutAColumnEndsTheOrder) {
  const auto shape = ParseShape(
      R"([{"name":"n","type":"integer","order":1,"descending":false,"nulls_first":false}])");
  CHECK(shape.order.empty());
  CHECK_EQ(shape.columns.size(), 1U);
  CHECK(shape.columns[0].is_number);
}

TEST(AnotherFirstResultTellsWhatDiffers) {
  LiveResult result;
  result.Replace(
      {RowOf("[1]", R"({"n":1})"), RowOf("[2]", R"({"n":2})"), RowOf("[3]", R"({"n":3})")});
  const auto differences = result.Replace(
      {RowOf("[4]", R"({"n":4})"), RowOf("[2]", R"({"n":20})"), RowOf("[1]", R"({"n":1})")});
  CHECK_EQ(Signs(differences), R"(-[3]+[4]~[2]{"n":2})");
  CHECK_EQ(differences[0].after, "[2]");
  CHECK_EQ(Rows(result), R"([4]{"n":4}[2]{"n":20}[1]{"n":1})");
  CHECK_EQ(Apply(&result, R"({"op":"delete","key":[4],"row":{"n":4}})"), "-[4]");
}
