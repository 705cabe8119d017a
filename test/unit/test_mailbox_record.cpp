// Tests of model/mailbox_record.hpp. Bytes are read from allocations of exactly their size, so that
// the sanitizers see each byte read beyond.
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "model/mailbox_record.hpp"

namespace live_queries {
namespace {

struct Written {
  RecordHeader header;
  std::string body;
};

std::vector<std::byte> Encode(const std::vector<Written>& records) {
  std::vector<std::byte> bytes;
  for (const Written& record : records) {
    const size_t start = bytes.size();
    bytes.resize(start + RecordBytes(record.header.body_bytes));
    std::memcpy(bytes.data() + start, &record.header, sizeof record.header);
    std::memcpy(bytes.data() + start + sizeof record.header, record.body.data(),
                record.body.size());
  }
  return bytes;
}

Written Make(RecordKind kind, std::string body) {
  Written record;
  record.header.kind = kind;
  record.header.body_bytes = static_cast<uint32_t>(body.size());
  record.body = std::move(body);
  return record;
}

std::vector<Written> RandomRecords(std::mt19937& random) {
  std::vector<Written> records;
  for (size_t count = random() % 6; count > 0; --count) {
    std::string body(random() % 40, 'A');
    for (char& c : body) c = static_cast<char>(random());
    const auto kind = static_cast<RecordKind>(random() % 3);
    if (kind == RecordKind::kTerminated) body.insert(0, "42P01");
    Written record = Make(kind, std::move(body));
    record.header.xid = random();
    record.header.change_count = random();
    record.header.subscription_serial = random();
    record.header.group = uint64_t{random()} << 32 | random();
    record.header.seq = uint64_t{random()} << 32 | random();
    record.header.committed_at = static_cast<int64_t>(uint64_t{random()} << 32 | random());
    records.push_back(std::move(record));
  }
  return records;
}

struct Outcome {
  size_t records = 0;
  size_t offset = 0;
  bool corrupt = false;
};

// Reads `size` bytes at an address that is `shift` off alignment.
Outcome ReadAll(const std::byte* bytes, size_t size, size_t shift = 0) {
  const std::unique_ptr<std::byte[]> copy(new std::byte[size + shift]);
  if (size > 0) std::memcpy(copy.get() + shift, bytes, size);
  RecordReader reader({copy.get() + shift, size});
  Outcome outcome;
  unsigned sum = 0;
  while (const auto record = reader.Next()) {
    ++outcome.records;
    for (const char c : record->body) sum += static_cast<unsigned char>(c);
    CHECK_EQ(record->body.size(), size_t{record->header.body_bytes});
  }
  [[maybe_unused]] volatile unsigned keep = sum;
  CHECK(!reader.Next());  // the end stays the end
  outcome.offset = reader.offset();
  outcome.corrupt = reader.corrupt();
  return outcome;
}

TEST(RecordsArePaddedToEightBytes) {
  CHECK_EQ(RecordBytes(0), size_t{48});
  CHECK_EQ(RecordBytes(1), size_t{56});
  CHECK_EQ(RecordBytes(8), size_t{56});
  CHECK_EQ(RecordBytes(9), size_t{64});
  CHECK_EQ(RecordBytes(UINT32_MAX), size_t{48} + 4294967296);
}

TEST(RecordsAreReadBack) {
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    const std::vector<Written> records = RandomRecords(random);
    const std::vector<std::byte> bytes = Encode(records);
    RecordReader reader(bytes);
    for (const Written& written : records) {
      const auto record = reader.Next();
      CHECK(record.has_value());
      if (!record) break;
      CHECK(std::memcmp(&record->header, &written.header, sizeof written.header) == 0);
      CHECK_EQ(record->body, written.body);
    }
    CHECK(!reader.Next());
    CHECK(!reader.corrupt());
    CHECK_EQ(reader.offset(), bytes.size());
    CHECK_EQ(ReadAll(bytes.data(), bytes.size(), 1 + i % 7).records, records.size());
  }
}

TEST(NothingIsTheEndAndNotCorrupt) {
  CHECK(!ReadAll(nullptr, 0).corrupt);
  RecordReader reader({});
  CHECK(!reader.Next());
}

TEST(CutOffRecordsAreCorrupt) {
  const std::vector<Written> records = {Make(RecordKind::kChanges, "{\"op\":\"clear\"}"),
                                        Make(RecordKind::kReset, ""),
                                        Make(RecordKind::kTerminated, "57014killed")};
  const std::vector<std::byte> bytes = Encode(records);
  const std::vector<size_t> ends = {0, 64, 112, 176};
  CHECK_EQ(bytes.size(), ends.back());
  for (size_t size = 0; size <= bytes.size(); ++size) {
    size_t whole = 0;
    while (whole + 1 < ends.size() && ends[whole + 1] <= size) ++whole;
    const Outcome outcome = ReadAll(bytes.data(), size);
    CHECK_EQ(outcome.records, whole);
    CHECK_EQ(outcome.offset, ends[whole]);
    CHECK_EQ(outcome.corrupt, ends[whole] != size);
  }
}

TEST(NonsenseIsCorrupt) {
  const auto is_corrupt = [](const Written& record) {
    const std::vector<std::byte> bytes = Encode({record});
    const Outcome outcome = ReadAll(bytes.data(), bytes.size());
    return outcome.corrupt && outcome.records == 0;
  };
  Written record = Make(RecordKind::kReset, "reason");
  CHECK(!is_corrupt(record));
  record.header.kind = static_cast<RecordKind>(3);
  CHECK(is_corrupt(record));
  record.header.kind = static_cast<RecordKind>(255);
  CHECK(is_corrupt(record));
  record = Make(RecordKind::kReset, "reason");
  for (const uint8_t other : {1, 2, 255}) {
    record.header.by_number = other;  // 1: but there are no bodies elsewhere
    CHECK(is_corrupt(record));
  }
  record.header.by_number = 0;
  record.header.xids_bytes = 1;  // which only changes have
  CHECK(is_corrupt(record));
  record = Make(RecordKind::kChanges, "{}");
  record.header.xids_bytes = 2;
  CHECK(!is_corrupt(record));
  record.header.xids_bytes = 3;
  CHECK(is_corrupt(record));
  for (const char* body : {"", "57", "5701", "5701a", "5701 ", "\xff\xff\xff\xff\xff"})
    CHECK(is_corrupt(Make(RecordKind::kTerminated, body)));
}

TEST(HugeLengthsAreCorrupt) {
  for (const uint32_t length : {9u, 1000u, 0x7FFFFFFFu, 0xFFFFFFF7u, 0xFFFFFFFFu}) {
    std::vector<std::byte> bytes = Encode({Make(RecordKind::kChanges, "12345678")});
    std::memcpy(bytes.data() + offsetof(RecordHeader, body_bytes), &length, sizeof length);
    const Outcome outcome = ReadAll(bytes.data(), bytes.size());
    CHECK(outcome.corrupt);
    CHECK_EQ(outcome.records, size_t{0});
  }
}

std::vector<std::byte> EncodeNumbered(RecordHeader header, uint64_t number) {
  std::vector<std::byte> bytes(kNumberedRecordBytes);
  header.by_number = 1;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &number, sizeof number);
  return bytes;
}

void Append(std::vector<std::byte>* bytes, const std::vector<std::byte>& more) {
  bytes->insert(bytes->end(), more.begin(), more.end());
}

// The bodies that stand elsewhere.
struct Elsewhere {
  std::vector<std::string> bodies;

  std::optional<std::string_view> operator()(uint64_t number) const {
    if (number >= bodies.size()) return std::nullopt;
    return bodies[number];
  }
};

TEST(BodiesThatStandElsewhereAreFound) {
  const Elsewhere elsewhere = {{std::string(1000, 'x'), "{\"op\":\"clear\"}", "57014killed"}};
  std::vector<std::byte> bytes;
  std::vector<Written> expected;
  for (const uint64_t number : {1, 0, 0, 1}) {
    expected.push_back(Make(RecordKind::kChanges, elsewhere.bodies[number]));
    expected.back().header.subscription_serial = expected.size();
    expected.back().header.xids_bytes = 3;
    Append(&bytes, EncodeNumbered(expected.back().header, number));
    // Between them those that have theirs with them.
    expected.push_back(Make(RecordKind::kReset, "reason"));
    Append(&bytes, Encode({expected.back()}));
  }
  expected.push_back(Make(RecordKind::kTerminated, elsewhere.bodies[2]));
  Append(&bytes, EncodeNumbered(expected.back().header, 2));
  RecordReader reader(bytes);
  for (const Written& written : expected) {
    const auto record = reader.Next(elsewhere);
    CHECK(record.has_value());
    if (!record) return;
    // Who reads it does not know where the body was.
    CHECK(std::memcmp(&record->header, &written.header, sizeof written.header) == 0);
    CHECK_EQ(record->body, written.body);
  }
  CHECK(!reader.Next(elsewhere));
  CHECK(!reader.corrupt());
  CHECK_EQ(reader.offset(), bytes.size());
  CHECK_EQ(bytes.size(), size_t{5 * 56 + 4 * 56});
}

TEST(NumbersThatFitNoBodyAreCorrupt) {
  const Elsewhere elsewhere = {{"{}", "57014"}};
  const auto is_corrupt = [&](RecordHeader header, uint64_t number, size_t cut = 0) {
    const std::vector<std::byte> bytes = EncodeNumbered(header, number);
    RecordReader reader({bytes.data(), bytes.size() - cut});
    const bool found = reader.Next(elsewhere).has_value();
    CHECK(!reader.Next(elsewhere));
    CHECK_EQ(reader.offset(), found ? bytes.size() : size_t{0});
    return !found && reader.corrupt();
  };
  RecordHeader header = Make(RecordKind::kChanges, "{}").header;
  CHECK(!is_corrupt(header, 0));
  for (size_t cut = 1; cut < kNumberedRecordBytes; ++cut) CHECK(is_corrupt(header, 0, cut));
  for (const uint64_t number : {uint64_t{1}, uint64_t{2}, UINT64_MAX})
    CHECK(is_corrupt(header, number));  // another length, or no body
  header.xids_bytes = 3;
  CHECK(is_corrupt(header, 0));
  header = Make(RecordKind::kTerminated, "57014").header;
  CHECK(!is_corrupt(header, 1));
  header.body_bytes = 2;
  CHECK(is_corrupt(header, 0));  // no SQLSTATE
  header = Make(RecordKind::kReset, "{}").header;
  header.kind = static_cast<RecordKind>(3);
  CHECK(is_corrupt(header, 0));
}

// Whatever one damaged byte does, the reader stays inside and says the end or corrupt.
TEST(DamagedBytesAreSurvived) {
  std::mt19937 random(6);
  for (int i = 0; i < 300; ++i) {
    std::vector<std::byte> bytes = Encode(RandomRecords(random));
    for (std::byte& byte : bytes) {
      const std::byte before = byte;
      byte = static_cast<std::byte>(random());
      const Outcome outcome = ReadAll(bytes.data(), bytes.size());
      CHECK(outcome.corrupt || outcome.offset == bytes.size());
      byte = before;
    }
  }
}

TEST(GroupsAreTheirConsumersOwn) {
  RecordHeader a;
  RecordHeader b;
  CHECK(AreOfOneGroup(a, b));
  a.group = GroupNumber(0, 7);
  b.group = GroupNumber(1, 7);
  CHECK(!AreOfOneGroup(a, b));
  b.group = GroupNumber(0, 8);
  CHECK(!AreOfOneGroup(a, b));
  b.group = GroupNumber(0, 7);
  CHECK(AreOfOneGroup(a, b));
  b.seq = 5;
  b.xid = 9;
  CHECK(AreOfOneGroup(a, b));
  b.kind = RecordKind::kReset;
  CHECK(!AreOfOneGroup(a, b));
}

TEST(ResetHeaderDescribesItsReason) {
  constexpr RecordHeader header = ResetHeader(7, 0xABC, "reason");
  CHECK(header.kind == RecordKind::kReset);
  CHECK_EQ(header.body_bytes, 6u);
  CHECK_EQ(header.subscription_serial, uint64_t{7});
  CHECK_EQ(header.seq, uint64_t{0xABC});
  CHECK_EQ(header.xid, 0u);
}

}  // namespace
}  // namespace live_queries
