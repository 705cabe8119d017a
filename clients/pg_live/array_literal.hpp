// Texts as an array literal of PostgreSQL: {"a","b"}. Pure.
#pragma once

#include <string>
#include <vector>

namespace pg_live {

inline std::string ArrayLiteral(const std::vector<std::string>& values) {
  std::string out = "{";
  for (const std::string& value : values) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

}  // namespace pg_live
