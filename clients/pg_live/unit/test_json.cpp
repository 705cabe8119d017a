// Reading and writing JSON.
#include "../../../test/unit/check.hpp"
#include "pg_live/json.hpp"

using pg_live::Json;
using pg_live::ParseJson;

namespace {

std::string Again(std::string_view text) {
  const auto json = ParseJson(text);
  return json ? json->Dump() : "not JSON";
}

}  // namespace

TEST(NumbersKeepTheirDigits) {
  CHECK_EQ(Again("[12.50, 0.1000, 1e400, -0, 123456789012345678901234567890.5]"),
           "[12.50,0.1000,1e400,0,123456789012345678901234567890.5]");
  CHECK_EQ(Again("[9223372036854775807,18446744073709551616,-9223372036854775808]"),
           "[9223372036854775807,18446744073709551616,-9223372036854775808]");
}

TEST(MembersKeepTheirOrder) {
  CHECK_EQ(Again(R"({"b":1,"a":{"d":null,"c":[true,false]},"b":2})"),
           R"({"b":1,"a":{"d":null,"c":[true,false]},"b":2})");
}

TEST(OneLineWithoutWhatDrivesATerminal) {
  CHECK_EQ(Again("{\"a\" :\n \"x\\ny\\u001b[2J\\u009b\\u202e\\\"\\\\\"}"),
           R"({"a":"x\ny\u001b[2J\u009b\u202e\"\\"})");
  CHECK_EQ(Again("\"\xF3\xA0\x80\x81\""), R"("\udb40\udc01")");
  CHECK_EQ(Again("\"\xC3\xA4\xE4\xBD\xA0\xF0\x9F\x98\x80\""),
           "\"\xC3\xA4\xE4\xBD\xA0\xF0\x9F\x98\x80\"");
}

TEST(BytesThatAreNoUtf8AreReplaced) {
  CHECK_EQ(Again("\"a\xFF\x62\""), "\"a\xEF\xBF\xBD\x62\"");
  CHECK_EQ(Again("\"\xED\xA0\x80\""), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(WhatIsNoJsonIsNone) {
  for (const char* text : {"", "{", "[1,]", "nul", "1 2", "{\"a\"}", "\"a"})
    CHECK(!ParseJson(text));
}

TEST(Members) {
  const auto json = ParseJson(R"({"a":"x","b":null})");
  CHECK_EQ(json->Find("a")->text, "x");
  CHECK(json->Find("b")->IsNull());
  CHECK(json->Find("c") == nullptr);
}

TEST(DeepNesting) {
  constexpr size_t kDepth = 5000;
  const std::string text = std::string(kDepth, '[') + std::string(kDepth, ']');
  CHECK(Again(text) == text);
}

TEST(HalfOfAPairOfSurrogatesIsReplaced) {
  const std::string replaced = "\xEF\xBF\xBD";
  CHECK_EQ(Again(R"("\ud800")"), "\"" + replaced + "\"");
  CHECK_EQ(Again(R"("\uDC00a\ud83dx\ud83d\n")"),
           "\"" + replaced + "a" + replaced + "x" + replaced + "\\n\"");
  CHECK_EQ(Again(R"("\ud83d\ud83d\ude00")"), "\"" + replaced + "\xF0\x9F\x98\x80\"");
  CHECK_EQ(Again(R"({"\udfff":["\\ud800","\"\\"]})"),
           "{\"" + replaced + R"(":["\\ud800","\"\\"]})");
  for (const char* text : {R"("\ud8")", R"("\ud800)", R"("\u)", R"("\)"}) CHECK(!ParseJson(text));
}

TEST(NumbersThatAreTooLargeKeepTheirDigits) {
  CHECK_EQ(Again(R"([1,1e99999,{"1e99999":-2.5E+99999},"1e99999",3,0.5])"),
           R"([1,1e99999,{"1e99999":-2.5E+99999},"1e99999",3,0.5])");
  const std::string digits(100000, '7');
  CHECK(Again("[" + digits + ",-" + digits + ".5,8]") == "[" + digits + ",-" + digits + ".5,8]");
  for (const char* text : {"1e99999 1", "[1e99999", "1e99999-", "a1e99999"})
    CHECK(!ParseJson(text));
}
