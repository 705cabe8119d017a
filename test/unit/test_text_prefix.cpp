// Tests of model/text_prefix.hpp.
#include <random>
#include <string>

#include "check.hpp"
#include "model/text_prefix.hpp"

namespace live_queries {
namespace {

std::string PrefixOf(const std::string& pattern) {
  std::string prefix(pattern.size(), '\0');
  prefix.resize(LikePrefix(pattern, prefix.data()));
  return prefix;
}

std::string EndOf(std::string prefix) {
  prefix.resize(EndOfPrefix(prefix.data(), prefix.size()));
  return prefix;
}

// LIKE, by trying all ways, of bytes.
bool Like(std::string_view text, std::string_view pattern) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '%')
    return Like(text, pattern.substr(1)) || (!text.empty() && Like(text.substr(1), pattern));
  if (text.empty()) return false;
  const bool escaped = pattern[0] == '\\' && pattern.size() > 1;
  const size_t taken = escaped ? 2 : 1;
  if (!escaped && pattern[0] == '_') return Like(text.substr(1), pattern.substr(1));
  return text[0] == pattern[taken - 1] && Like(text.substr(1), pattern.substr(taken));
}

TEST(APrefixEndsAtTheFirstWildcard) {
  CHECK_EQ(PrefixOf("ab%c"), "ab");
  CHECK_EQ(PrefixOf("ab_c"), "ab");
  CHECK_EQ(PrefixOf("abc"), "abc");
  CHECK_EQ(PrefixOf("%abc"), "");
  CHECK_EQ(PrefixOf(""), "");
}

TEST(WhatIsEscapedIsItself) {
  CHECK_EQ(PrefixOf("a\\%b\\_c%d"), "a%b_c");
  CHECK_EQ(PrefixOf("\\\\%"), "\\");
  CHECK_EQ(PrefixOf("\\\\\\%"), "\\%");
  CHECK_EQ(PrefixOf("\\ab"), "ab");
  CHECK_EQ(PrefixOf("a\\"), "a");
}

TEST(AnEscapeAtTheEndIsKnown) {
  CHECK(EndsInEscape("\\"));
  CHECK(EndsInEscape("a%b\\"));
  CHECK(EndsInEscape("\\\\\\"));
  CHECK(!EndsInEscape("a\\\\"));
  CHECK(!EndsInEscape("\\%"));
  CHECK(!EndsInEscape(""));
}

TEST(WhatIsBeyondAPrefix) {
  CHECK_EQ(EndOf("ab"), "ac");
  CHECK_EQ(EndOf("a\x7f"), "a\x80");
  CHECK_EQ(EndOf("a\xff\xff"), "b");
  CHECK_EQ(EndOf("\xff\xff"), "");
  CHECK_EQ(EndOf(""), "");
}

// Strings compare by bytes, without a sign.
TEST(WhatMatchesIsWithinThePrefix) {
  std::mt19937 random(1);
  auto text = [&](std::string_view of, size_t longest) {
    std::string made(random() % (longest + 1), '\0');
    for (char& byte : made) byte = of[random() % of.size()];
    return made;
  };
  int matched = 0;
  for (int i = 0; i < 300'000; ++i) {
    const std::string pattern = text("ab\xff\\%_", 6);
    const std::string found = text("ab\xff\\%_", 5);
    if (EndsInEscape(pattern) || !Like(found, pattern)) continue;
    ++matched;
    const std::string prefix = PrefixOf(pattern);
    CHECK(found >= prefix);
    CHECK(EndOf(prefix).empty() || found < EndOf(prefix));
    CHECK(found.starts_with(prefix));
  }
  CHECK(matched > 10'000);
}

TEST(AnEndIsTheLeastOne) {
  std::mt19937 random(1);
  for (int i = 0; i < 100'000; ++i) {
    std::string prefix(random() % 4, '\0'), other(random() % 5, '\0');
    for (char& byte : prefix) byte = static_cast<char>(0xfd + random() % 3);
    for (char& byte : other) byte = static_cast<char>(0xfc + random() % 4);
    const std::string end = EndOf(prefix);
    const bool within = other >= prefix && (end.empty() || other < end);
    CHECK_EQ(within, other.starts_with(prefix));
  }
}

}  // namespace
}  // namespace live_queries
