// Tests of model/seq_id.hpp.
#include <array>
#include <random>
#include <string>

#include "check.hpp"
#include "model/seq_id.hpp"

namespace live_queries {
namespace {

std::string Text(uint64_t value) {
  std::array<char, kSeqIdDigits> buffer;
  return std::string(FormatSeqId(SeqId{value}, buffer));
}

TEST(SeqIdIs16UppercaseHexDigits) {
  CHECK_EQ(Text(0), "0000000000000000");
  CHECK_EQ(Text(0x16B3748), "00000000016B3748");
  CHECK_EQ(Text(0xFEDCBA9876543210), "FEDCBA9876543210");
  CHECK_EQ(Text(UINT64_MAX), "FFFFFFFFFFFFFFFF");
}

TEST(SeqIdIsParsedBack) {
  CHECK(ParseSeqId("00000000016B3748") == SeqId{0x16B3748});
  CHECK(ParseSeqId("00000000016b3748") == SeqId{0x16B3748});
  std::mt19937_64 random(1);
  for (int i = 0; i < 10000; ++i) {
    const SeqId seq{random() >> random() % 64};
    CHECK(ParseSeqId(Text(seq.value)) == seq);
  }
}

TEST(OnlyExactly16HexDigitsAreParsed) {
  const std::string good = "0123456789ABCDEF";
  CHECK(!ParseSeqId(""));
  CHECK(!ParseSeqId("0123456789ABCDE"));
  CHECK(!ParseSeqId("0123456789ABCDEF0"));
  for (size_t i = 0; i < good.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = good;
      text[i] = static_cast<char>(byte);
      const bool is_digit =
          std::string_view("0123456789ABCDEFabcdef").find(static_cast<char>(byte)) !=
          std::string_view::npos;
      CHECK_EQ(ParseSeqId(text).has_value(), is_digit);
    }
  }
}

TEST(SeqIdsSortAsTextAsTheyDoAsNumbers) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 10000; ++i) {
    const uint64_t a = random() >> random() % 64;
    const uint64_t b = random() >> random() % 64;
    CHECK_EQ(SeqId{a} < SeqId{b}, Text(a) < Text(b));
  }
}

}  // namespace
}  // namespace live_queries
