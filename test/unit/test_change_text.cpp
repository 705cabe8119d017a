// Tests of model/change_text.hpp: it reads what message.hpp writes.
#include <string>

#include "check.hpp"
#include "model/change_text.hpp"
#include "model/message.hpp"
#include "string_sink.hpp"

namespace live_queries {
namespace {

using Op = ChangeText::Op;

constexpr std::string_view kRow = R"({"a":1,"b , }":"x\"}\\","c":{"d":[1,{"e":"]"}]},"f": null })";

TEST(ChangesAreReadAsTheyWereWritten) {
  StringSink sink;
  WriteInsert(sink, R"([1,"a]\"b"])", kRow);
  sink.Append(std::string_view(","));
  WriteUpdate(sink, "[2]", kRow, R"({"a":2})");
  sink.Append(std::string_view(","));
  WriteUpdate(sink, "[3]", kRow, {});
  sink.Append(std::string_view(","));
  WriteClear(sink);
  sink.Append(std::string_view(","));
  WriteDelete(sink, R"({"a":1})", "{}");
  ChangeReader reader(sink.text);
  auto change = reader.Next();
  CHECK(change && change->op == Op::kInsert && change->key == R"([1,"a]\"b"])");
  CHECK(change->row == kRow && change->old.empty());
  change = reader.Next();
  CHECK(change && change->op == Op::kUpdate && change->key == "[2]");
  CHECK(change->row == kRow && change->old == R"({"a":2})");
  change = reader.Next();
  CHECK(change && change->op == Op::kUpdate && change->old.empty());
  change = reader.Next();
  CHECK(change && change->op == Op::kClear && change->key.empty());
  change = reader.Next();
  CHECK(change && change->op == Op::kDelete && change->key == R"({"a":1})" && change->row == "{}");
  CHECK(!reader.Next() && !reader.corrupt());
}

TEST(APositionStandsBehindTheRestOfAChange) {
  StringSink sink;
  WriteInsert(sink, "[1]", kRow, 0);
  sink.Append(std::string_view(","));
  WriteUpdate(sink, "[2]", kRow, "{}", 12);
  sink.Append(std::string_view(","));
  WriteUpdate(sink, "[3]", kRow, {}, 3);
  ChangeReader reader(sink.text);
  auto change = reader.Next();
  CHECK(change && change->old.empty() && change->position == "0");
  change = reader.Next();
  CHECK(change && change->row == kRow && change->old == "{}" && change->position == "12");
  change = reader.Next();
  CHECK(change && change->old.empty() && change->position == "3");
  CHECK(!reader.Next() && !reader.corrupt());
}

TEST(WhatIsNoChangeEndsTheReading) {
  for (const std::string_view text :
       {"{}", "x", "{\"op\":\"other\",\"key\":[],\"row\":{}}", "{\"op\":\"insert\",\"row\":{}}",
        "{\"op\":\"insert\",\"key\":[1]", "{\"op\":\"clear\"}}", "{\"op\"", "{\"", "{\"op\":\"cl\\",
        R"({"op":"insert","key":[1],"row":{},"other":1})",
        R"({"op":"insert","key":[1],"row":{},"position":1,"old":{}})",
        R"({"op":"clear","key":[1]})"}) {
    ChangeReader reader(text);
    while (reader.Next()) {
    }
    CHECK(reader.corrupt());
  }
  CHECK(!ChangeReader("").Next());
}

TEST(MembersAreReadWithTheirNames) {
  MemberReader reader(kRow);
  auto member = reader.Next();
  CHECK(member && member->name == "\"a\"" && member->value == "1" && member->whole == "\"a\":1");
  member = reader.Next();
  CHECK(member && member->name == "\"b , }\"" && member->value == R"("x\"}\\")");
  member = reader.Next();
  CHECK(member && member->name == "\"c\"" && member->value == R"({"d":[1,{"e":"]"}]})");
  member = reader.Next();
  CHECK(member && member->name == "\"f\"" && member->value == " null ");
  CHECK(!reader.Next() && !reader.Next());
  CHECK(!MemberReader("{}").Next() && !MemberReader("").Next());
}

std::string Before(std::string_view row, std::string_view old) {
  StringSink sink;
  WriteRowBefore(sink, row, old);
  return sink.text;
}

std::string Old(std::string_view before, std::string_view after) {
  StringSink sink;
  const bool any = WriteOldMembers(sink, before, after);
  CHECK(any == (sink.text != "{}"));
  return sink.text;
}

TEST(ARowBeforeAnUpdateHasItsOldMembers) {
  constexpr std::string_view kAfter = R"({"a":1,"b":"x","c":[1,2]})";
  CHECK(Before(kAfter, R"({"a":0,"c":null})") == R"({"a":0,"b":"x","c":null})");
  CHECK(Before(kAfter, R"({"b":"y"})") == R"({"a":1,"b":"y","c":[1,2]})");
  CHECK(Before(kAfter, "{}") == kAfter);
  CHECK(Before("{}", "{}") == "{}");
}

TEST(OldMembersAreThoseThatDiffer) {
  constexpr std::string_view kBefore = R"({"a":1,"b":"x","c":[1,2]})";
  CHECK(Old(kBefore, kBefore) == "{}");
  CHECK(Old(kBefore, R"({"a":1,"b":"y","c":[1,2]})") == R"({"b":"x"})");
  CHECK(Old(kBefore, R"({"a":2,"b":"x","c":[1]})") == R"({"a":1,"c":[1,2]})");
}

}  // namespace
}  // namespace live_queries
