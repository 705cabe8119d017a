// What the input functions of the date/time types take from the clock (ParseDateTime and the tables
// of words in the server's datetime.c). Pure.
#pragma once

#include <array>
#include <string_view>

namespace live_queries {

constexpr bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Whether one of `words`, in small letters, stands in `text`, in any letters, as a whole word.
template <size_t kCount>
constexpr bool HasWord(std::string_view text, const std::array<std::string_view, kCount>& words) {
  for (size_t start = 0; start < text.size();) {
    size_t end = start;
    while (end < text.size() && IsLetter(text[end])) ++end;
    for (std::string_view word : words) {
      if (word.size() != end - start) continue;
      bool same = true;
      for (size_t i = 0; i < word.size(); ++i) same = same && (text[start + i] | 0x20) == word[i];
      if (same) return true;
    }
    start = end + 1;
  }
  return false;
}

// Whether `text`, read as a date or time, or as something that contains one, is about the present.
constexpr bool HasClockWord(std::string_view text) {
  return HasWord(text, std::to_array<std::string_view>({"now", "today", "tomorrow", "yesterday"}));
}

// Whether `text`, read as a time with time zone, leaves it to the present date which offset its
// zone has.
constexpr bool NeedsPresentOffset(std::string_view text) {
  bool has_digit = false;
  for (size_t i = 0; i < text.size(); ++i) {
    has_digit = has_digit || IsDigit(text[i]);
    if ((text[i] == '+' || text[i] == '-') && i + 1 < text.size() && IsDigit(text[i + 1]))
      return false;
  }
  return has_digit && !HasWord(text, std::to_array<std::string_view>({"z", "utc", "gmt"}));
}

}  // namespace live_queries
