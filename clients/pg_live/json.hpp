// JSON as the server wrote it: numbers keep their digits, members their order.
//
// Owns: Json, reading it (by nlohmann's parser) and writing it on one line. Used by everything here
// that touches a message or a row. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pg_live {

struct JsonMember;

struct Json {
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  std::string text;  // a number as it was written, what a string contains, "true" or "false"
  std::vector<Json> items;
  std::vector<JsonMember> members;

  // The member of an object, or null.
  const Json* Find(std::string_view name) const;

  // On one line, without spaces. Characters that could drive a terminal are escaped.
  std::string Dump() const;

  bool IsNull() const { return kind == Kind::kNull; }
};

struct JsonMember {
  std::string name;
  Json value;
};

Json JsonText(std::string_view text);
Json JsonNumber(std::string_view digits);
Json JsonBool(bool value);
Json JsonArray(std::vector<Json> items);
Json JsonObject(std::vector<JsonMember> members);

// Nothing unless `text` is one JSON value. Bytes that are not UTF-8, and escaped surrogates that
// are no pair, are read as U+FFFD.
std::optional<Json> ParseJson(std::string_view text);

}  // namespace pg_live
