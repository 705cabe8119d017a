// What all texts that a pattern asks for begin with, and where these end in the order of bytes.
//
// Owns: that reading of patterns of LIKE, with the usual escape character. Used for live queries
// that are routed by a prefix. Pure.
//
// A server's encoding has no byte of ASCII within a longer character, so bytes are read one by one.
#pragma once

#include <cstddef>
#include <string_view>

namespace live_queries {

// Whether the last character is an escape of nothing: LIKE raises an error when it gets there.
constexpr bool EndsInEscape(std::string_view pattern) {
  for (size_t i = 0; i < pattern.size(); ++i)
    if (pattern[i] == '\\' && ++i == pattern.size()) return true;
  return false;
}

// Writes to `prefix`, which has room for the whole pattern, what every text begins with that LIKE
// `pattern` holds of: all up to the first wildcard. Returns its length.
constexpr size_t LikePrefix(std::string_view pattern, char* prefix) {
  size_t length = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '%' || pattern[i] == '_') break;
    if (pattern[i] == '\\' && ++i == pattern.size()) break;
    prefix[length++] = pattern[i];
  }
  return length;
}

// Makes of `prefix` the least bytes that are beyond all that begin with it, which may be no text of
// any encoding. Returns their length; 0: nothing is beyond these.
constexpr size_t EndOfPrefix(char* prefix, size_t length) {
  while (length > 0 && static_cast<unsigned char>(prefix[length - 1]) == 0xff) --length;
  if (length > 0) prefix[length - 1] = static_cast<char>(prefix[length - 1] + 1);
  return length;
}

}  // namespace live_queries
