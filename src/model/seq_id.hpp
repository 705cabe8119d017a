// The position of a message in the stream of changes, as clients see it.
//
// Owns: SeqId and its text form, 16 uppercase hex digits, which sort as text as they do as numbers.
// Used by the decoder, the mailbox, the client backend and the view. Pure.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace live_queries {

struct SeqId {
  uint64_t value;

  // The check takes the 0 that the compiler compares with for a pointer.
  auto operator<=>(const SeqId&) const = default;  // NOLINT(modernize-use-nullptr)
};

inline constexpr size_t kSeqIdDigits = 16;

// Fills `out` (no closing NUL) and returns it as a view.
inline std::string_view FormatSeqId(SeqId seq, std::span<char, kSeqIdDigits> out) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  uint64_t rest = seq.value;
  for (size_t i = kSeqIdDigits; i-- > 0; rest >>= 4) out[i] = kDigits[rest & 0xF];
  return {out.data(), out.size()};
}

// Nothing unless `text` is exactly 16 hex digits; lowercase ones are accepted.
constexpr std::optional<SeqId> ParseSeqId(std::string_view text) {
  if (text.size() != kSeqIdDigits) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    int digit = 0;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'A' && c <= 'F') {
      digit = c - 'A' + 10;
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else {
      return std::nullopt;
    }
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  return SeqId{value};
}

}  // namespace live_queries
