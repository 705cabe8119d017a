// A reader of JSON strings, for tests.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

// What a JSON parser makes of a string literal; nothing if it is not a valid one.
inline std::optional<std::string> ParseJsonString(std::string_view json) {
  if (json.size() < 2 || json.front() != '"' || json.back() != '"') return std::nullopt;
  json = json.substr(1, json.size() - 2);
  std::string text;
  for (size_t i = 0; i < json.size(); ++i) {
    if (static_cast<unsigned char>(json[i]) < 0x20 || json[i] == '"') return std::nullopt;
    if (json[i] != '\\') {
      text += json[i];
      continue;
    }
    if (++i == json.size()) return std::nullopt;
    if (json[i] == 'u') {
      if (i + 4 >= json.size()) return std::nullopt;
      text += static_cast<char>(std::stoi(std::string(json.substr(i + 1, 4)), nullptr, 16));
      i += 4;
      continue;
    }
    const size_t which = std::string_view("bfnrt\"\\").find(json[i]);
    if (which == std::string_view::npos) return std::nullopt;
    text += "\b\f\n\r\t\"\\"[which];
  }
  return text;
}
