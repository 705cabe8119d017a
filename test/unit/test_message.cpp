// Tests of model/message.hpp and what it is made of: JSON strings, commit times, single changes.
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "check.hpp"
#include "json_string.hpp"
#include "model/message.hpp"
#include "string_sink.hpp"

namespace live_queries {
namespace {

std::string Escaped(std::string_view text) {
  StringSink sink;
  EscapeJson(sink, text);
  return sink.text;
}

std::string Timestamp(int64_t micros) {
  TimestampBuffer buffer;
  return std::string(FormatTimestamp(micros, buffer));
}

RecordView Record(RecordKind kind, std::string_view body) {
  RecordView record;
  record.header.kind = kind;
  record.header.body_bytes = static_cast<uint32_t>(body.size());
  record.body = body;
  return record;
}

std::string Message(const RecordView& record, std::string_view subscription, uint64_t seq,
                    bool more) {
  StringSink sink;
  WriteMessage(sink, record, subscription, SeqId{seq}, more);
  return sink.text;
}

TEST(JsonStringsAreEscapedAsTheServerDoes) {
  CHECK_EQ(Escaped(""), R"("")");
  CHECK_EQ(Escaped("plain"), R"("plain")");
  CHECK_EQ(Escaped("a\"b\\c/d"), R"("a\"b\\c/d")");
  CHECK_EQ(Escaped("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  CHECK_EQ(Escaped(std::string_view("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\x7f\"");
  CHECK_EQ(Escaped("ä🙂\xff"), "\"ä🙂\xff\"");
}

TEST(AnyTextSurvivesEscaping) {
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    std::string text(random() % 20, ' ');
    for (char& c : text) c = static_cast<char>(random() % (i % 2 == 0 ? 256 : 48));
    CHECK(ParseJsonString(Escaped(text)) == text);
  }
}

TEST(ChangesAreWrittenWithoutSeparators) {
  StringSink sink;
  WriteInsert(sink, "[17]", R"({"id":17})");
  CHECK_EQ(sink.text, R"({"op":"insert","key":[17],"row":{"id":17}})");
  sink.text.clear();
  WriteUpdate(sink, "[11]", R"({"id":11,"total":1})", R"({"total":9.00})");
  CHECK_EQ(sink.text,
           R"({"op":"update","key":[11],"row":{"id":11,"total":1},"old":{"total":9.00}})");
  sink.text.clear();
  WriteUpdate(sink, "[11]", R"({"id":11})", "");
  CHECK_EQ(sink.text, R"({"op":"update","key":[11],"row":{"id":11}})");
  sink.text.clear();
  WriteDelete(sink, "[3]", R"({"id":3})");
  CHECK_EQ(sink.text, R"({"op":"delete","key":[3],"row":{"id":3}})");
  sink.text.clear();
  WriteClear(sink);
  CHECK_EQ(sink.text, R"({"op":"clear"})");
}

TEST(MessageOfChanges) {
  RecordView record = Record(RecordKind::kChanges, R"({"op":"clear"},{"op":"clear"})");
  record.header.xid = 741;
  record.header.committed_at = 848616301123456;
  record.header.seq = 1;  // the stamped one counts
  CHECK_EQ(Message(record, "open-orders", 0x16B3748, false),
           R"({"type":"changes","subscription_id":"open-orders","seq":"00000000016B3748",)"
           R"("xid":741,"committed_at":"2026-11-21T22:45:01.123456+00:00",)"
           R"("changes":[{"op":"clear"},{"op":"clear"}],"more":false})");

  record = Record(RecordKind::kChanges, "");
  record.header.xid = UINT32_MAX;
  CHECK_EQ(Message(record, "a\"b\n", UINT64_MAX, true),
           R"({"type":"changes","subscription_id":"a\"b\n","seq":"FFFFFFFFFFFFFFFF",)"
           R"("xid":4294967295,"committed_at":"2000-01-01T00:00:00.000000+00:00",)"
           R"("changes":[],"more":true})");

  record.header.xid = 0;  // of none, or of several
  CHECK_EQ(Message(record, "a", 1, false),
           R"({"type":"changes","subscription_id":"a","seq":"0000000000000001",)"
           R"("xid":null,"committed_at":"2000-01-01T00:00:00.000000+00:00",)"
           R"("changes":[],"more":false})");

  record = Record(RecordKind::kChanges, R"(741,742{"op":"clear"})");
  record.header.xids_bytes = 7;
  CHECK_EQ(Message(record, "a", 1, false),
           R"({"type":"changes","subscription_id":"a","seq":"0000000000000001",)"
           R"("xid":null,"xids":[741,742],"committed_at":"2000-01-01T00:00:00.000000+00:00",)"
           R"("changes":[{"op":"clear"}],"more":false})");
}

TEST(MessageOfSeveralSubscriptions) {
  const RecordView record = Record(RecordKind::kChanges, R"({"op":"clear"})");
  const std::array<std::string_view, 2> ids = {"a", "\"b\""};
  StringSink sink;
  WriteMessage(sink, record, ids, SeqId{1}, true);
  CHECK_EQ(sink.text,
           R"({"type":"changes","subscription_ids":["a","\"b\""],"seq":"0000000000000001",)"
           R"("xid":null,"committed_at":"2000-01-01T00:00:00.000000+00:00",)"
           R"("changes":[{"op":"clear"}],"more":true})");
}

TEST(WhoeverTellsTheSameDiffersInTheSubscriptionAlone) {
  RecordView a = Record(RecordKind::kChanges, R"({"op":"clear"})");
  a.header.group = 7;
  RecordView b = a;
  b.header.subscription_serial = 2;
  CHECK(TellTheSame(a, b));
  b.body = R"({"op":"CLEAR"})";
  CHECK(!TellTheSame(a, b));
  b = a;
  b.header.group = 8;
  CHECK(!TellTheSame(a, b));
  b = a;
  a.header.kind = b.header.kind = RecordKind::kReset;
  CHECK(!TellTheSame(a, b));
}

TEST(MessageOfReset) {
  CHECK_EQ(Message(Record(RecordKind::kReset, "too \"slow\""), "s", 0xAB, true),
           R"({"type":"reset","subscription_id":"s","seq":"00000000000000AB",)"
           R"("reason":"too \"slow\""})");
}

TEST(MessageOfTermination) {
  CHECK_EQ(
      Message(Record(RecordKind::kTerminated, "42P01relation \"t\" does not exist"), "s", 1, false),
      R"({"type":"terminated","subscription_id":"s","seq":"0000000000000001",)"
      R"("code":"42P01","reason":"relation \"t\" does not exist"})");
  CHECK_EQ(Message(Record(RecordKind::kTerminated, "57014"), "s", 1, false),
           R"({"type":"terminated","subscription_id":"s","seq":"0000000000000001",)"
           R"("code":"57014","reason":""})");
  CHECK_EQ(Message(Record(RecordKind::kTerminated, "57"), "s", 1, false),
           R"({"type":"terminated","subscription_id":"s","seq":"0000000000000001",)"
           R"("code":"57","reason":""})");
}

TEST(KnownCommitTimes) {
  CHECK_EQ(Timestamp(0), "2000-01-01T00:00:00.000000+00:00");
  CHECK_EQ(Timestamp(-1), "1999-12-31T23:59:59.999999+00:00");
  CHECK_EQ(Timestamp(-946684800000000), "1970-01-01T00:00:00.000000+00:00");
  CHECK_EQ(Timestamp(848616301123456), "2026-11-21T22:45:01.123456+00:00");
  CHECK_EQ(Timestamp(int64_t{59} * 86400000000 + 86399999999), "2000-02-29T23:59:59.999999+00:00");
}

// The limits stand for nothing a server could commit at, but the bytes in a mailbox may be
// anything.
TEST(ExtremeCommitTimes) {
  CHECK_EQ(Timestamp(INT64_MAX), "+294277-01-09T04:00:54.775807+00:00");
  CHECK_EQ(Timestamp(INT64_MIN), "-290278-12-22T19:59:05.224192+00:00");
  std::mt19937_64 random(4);
  for (int i = 0; i < 100000; ++i)
    CHECK(Timestamp(static_cast<int64_t>(random())).size() <= kMaxTimestampBytes);
}

TEST(YearsOutsideFourDigitsAreSigned) {
  using std::chrono::sys_days;
  const auto at = [](int year, unsigned month, unsigned day) {
    const auto since =
        sys_days(std::chrono::year(year) / month / day) - sys_days(std::chrono::year(2000) / 1 / 1);
    return Timestamp(since.count() * int64_t{86400000000});
  };
  CHECK_EQ(at(9999, 12, 31), "9999-12-31T00:00:00.000000+00:00");
  CHECK_EQ(at(10000, 1, 1), "+010000-01-01T00:00:00.000000+00:00");
  CHECK_EQ(at(0, 1, 1), "0000-01-01T00:00:00.000000+00:00");
  CHECK_EQ(at(-1, 12, 31), "-000001-12-31T00:00:00.000000+00:00");
}

// Against the calendar of the standard library, every day it knows.
TEST(CivilDatesAgreeWithChrono) {
  using namespace std::chrono;
  const sys_days epoch = year(2000) / 1 / 1;
  int wrong = 0;
  for (sys_days day = year::min() / 1 / 1; day <= sys_days(year::max() / 12 / 31); day += days(1)) {
    const year_month_day expected(day);
    const CivilDate date = CivilFromDays((day - epoch).count());
    if (date.year != int{expected.year()} ||
        static_cast<unsigned>(date.month) != unsigned{expected.month()} ||
        static_cast<unsigned>(date.day) != unsigned{expected.day()})
      ++wrong;
  }
  CHECK_EQ(wrong, 0);
}

TEST(MessagesAreSplitAt256Kilobytes) { CHECK_EQ(kMessageSplitBytes, size_t{262144}); }

TEST(ProgressIsAboutNoSubscription) {
  StringSink sink;
  WriteProgress(sink, SeqId{0x16B3748}, "741:748:743,745");
  CHECK_EQ(sink.text,
           R"({"type":"progress","seq":"00000000016B3748","snapshot":"741:748:743,745"})");
}

}  // namespace
}  // namespace live_queries
