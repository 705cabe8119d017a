// Text sinks and JSON strings.
//
// Owns: the concept of a sink (StringInfo in the server, a string in tests) and the escaping of
// JSON strings. Used by the message writer and the decoder. Pure: what it may throw or report is
// the sink's.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace live_queries {

template <class T>
concept TextSink = requires(T& sink, std::string_view text) {
  sink.Append(text);
};

namespace internal {

// The escape sequence of `c`, built in `buffer` where it is not a constant; empty if it needs none.
inline std::string_view JsonEscape(char c, std::array<char, 6>& buffer) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20) return {};
  buffer = {'\\', 'u', '0', '0', kDigits[byte >> 4], kDigits[byte & 0xF]};
  return {buffer.data(), buffer.size()};
}

}  // namespace internal

// Appends `text` as a JSON string, with its quotes; same output as the server's escape_json().
template <TextSink S>
void EscapeJson(S& sink, std::string_view text) {
  std::array<char, 6> buffer;
  size_t run = 0;  // start of the bytes that are not appended yet
  sink.Append(std::string_view("\""));
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view escape = internal::JsonEscape(text[i], buffer);
    if (escape.empty()) continue;
    if (i > run) sink.Append(std::string_view(text.data() + run, i - run));
    sink.Append(escape);
    run = i + 1;
  }
  if (text.size() > run) sink.Append(std::string_view(text.data() + run, text.size() - run));
  sink.Append(std::string_view("\""));
}

}  // namespace live_queries
