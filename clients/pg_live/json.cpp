// Reads JSON by the events of nlohmann's parser, which hand over numbers as they were written;
// what PostgreSQL's type json takes and the parser refuses is mended before. Writes it by hand,
// which takes a few lines.
#include "pg_live/json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "pg_live/text.hpp"

namespace pg_live {

namespace {

// With the type that has the most room for numbers: the parser refuses those that have none in it.
using Parser = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t,
                                    std::uint64_t, long double>;

// A text that the parser takes, and what had to be replaced for that.
struct Mended {
  std::string text;
  std::map<size_t, std::string> numbers;  // that are too large, by how many stand before each
};

// Takes the events of the parser, and builds the value of them.
class Builder : public nlohmann::json_sax<Parser> {
 public:
  explicit Builder(const std::map<size_t, std::string>& numbers) : too_large_(numbers) {}

  Json Take() { return std::move(root_); }

  bool null() override { return Add({}); }
  bool boolean(bool value) override { return Add(JsonBool(value)); }
  bool number_integer(std::int64_t value) override { return AddNumber(std::to_string(value)); }
  bool number_unsigned(std::uint64_t value) override { return AddNumber(std::to_string(value)); }
  bool number_float(long double /*value*/, const std::string& digits) override {
    return AddNumber(digits);
  }
  bool string(std::string& value) override { return Add(JsonText(value)); }
  bool binary(Parser::binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*count*/) override { return Open(Json::Kind::kObject); }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t /*count*/) override { return Open(Json::Kind::kArray); }
  bool end_array() override { return Close(); }
  bool key(std::string& name) override {
    open_.back().name = std::move(name);
    return true;
  }
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return false;
  }

 private:
  // An array or an object that is being read, and the name of the member that comes next.
  struct Level {
    Json value;
    std::string name;
  };

  bool AddNumber(const std::string& digits) {
    const auto found = too_large_.find(numbers_++);
    return Add(JsonNumber(found == too_large_.end() ? digits : found->second));
  }

  bool Add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Level& level = open_.back(); level.value.kind == Json::Kind::kArray) {
      level.value.items.push_back(std::move(value));
    } else {
      level.value.members.push_back({std::move(level.name), std::move(value)});
    }
    return true;
  }

  bool Open(Json::Kind kind) {
    open_.push_back({});
    open_.back().value.kind = kind;
    return true;
  }

  bool Close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return Add(std::move(value));
  }

  const std::map<size_t, std::string>& too_large_;
  size_t numbers_ = 0;
  Json root_;
  std::vector<Level> open_;
};

constexpr size_t kEscapeLength = 6;  // of \uXXXX

// The code of the escape \uXXXX that `text` begins with; 0 if there is none.
unsigned EscapedCode(std::string_view text) {
  if (text.size() < kEscapeLength || !text.starts_with("\\u")) return 0;
  unsigned code = 0;
  const char* end = text.data() + kEscapeLength;
  return std::from_chars(text.data() + 2, end, code, 16).ptr == end ? code : 0;
}

bool IsFirstSurrogate(unsigned code) { return code >= 0xD800 && code < 0xDC00; }
bool IsSecondSurrogate(unsigned code) { return code >= 0xDC00 && code < 0xE000; }

// Moves the string that `text` begins with over to `out`. Half of a pair of surrogates that lacks
// the other becomes U+FFFD.
void MoveString(std::string_view* text, std::string* out) {
  const auto move = [&](size_t length) {
    length = std::min(length, text->size());
    *out += text->substr(0, length);
    text->remove_prefix(length);
  };
  move(1);
  while (!text->empty() && text->front() != '"') {
    const unsigned code = EscapedCode(*text);
    const bool is_pair =
        IsFirstSurrogate(code) && IsSecondSurrogate(EscapedCode(text->substr(kEscapeLength)));
    if (is_pair) {
      move(2 * kEscapeLength);
    } else if (IsFirstSurrogate(code) || IsSecondSurrogate(code)) {
      *out += "\\ufffd";
      text->remove_prefix(kEscapeLength);
    } else if (text->front() == '\\') {
      move(2);
    } else {
      move(text->find_first_of("\\\""));
    }
  }
  move(1);
}

// Whether the parser has no room for it.
bool IsTooLarge(std::string_view number) {
  constexpr size_t kAlwaysFit = std::numeric_limits<long double>::max_exponent10;
  if (number.size() <= kAlwaysFit && number.find_first_of("eE") == std::string_view::npos)
    return false;
  const std::string digits(number);
  char* end = nullptr;
  const long double value = std::strtold(digits.c_str(), &end);
  return *end == '\0' && !std::isfinite(value);
}

Mended Mend(std::string_view text) {
  Mended mended;
  mended.text.reserve(text.size());
  size_t numbers = 0;
  while (!text.empty()) {
    if (text.front() == '"') {
      MoveString(&text, &mended.text);
      continue;
    }
    const bool is_number = text.front() == '-' || (text.front() >= '0' && text.front() <= '9');
    const size_t end =
        is_number ? text.find_first_not_of("0123456789+-.eE") : text.find_first_of("\"-0123456789");
    const std::string_view token = text.substr(0, end);
    text.remove_prefix(token.size());
    if (is_number && IsTooLarge(token)) {
      mended.numbers.emplace(numbers, token);
      mended.text += '0';
    } else {
      mended.text += token;
    }
    numbers += is_number ? 1 : 0;
  }
  return mended;
}

void AppendEscaped(char32_t code, std::string* out) {
  char buffer[16];
  if (code >= 0x10000) {
    const char32_t rest = code - 0x10000;
    std::snprintf(buffer, sizeof(buffer), "\\u%04x\\u%04x",
                  static_cast<unsigned>(0xD800 + (rest >> 10)),
                  static_cast<unsigned>(0xDC00 + (rest & 0x3FF)));
  } else {
    std::snprintf(buffer, sizeof(buffer), "\\u%04x", static_cast<unsigned>(code));
  }
  *out += buffer;
}

void AppendString(std::string_view text, std::string* out) {
  *out += '"';
  while (!text.empty()) {
    const Character character = FirstCharacter(text);
    const std::string_view bytes = text.substr(0, character.length);
    text.remove_prefix(character.length);
    if (bytes == "\"" || bytes == "\\") {
      *out += '\\';
      *out += bytes;
    } else if (bytes == "\n") {
      *out += "\\n";
    } else if (bytes == "\t") {
      *out += "\\t";
    } else if (!character.valid) {
      *out += "\xEF\xBF\xBD";
    } else if (DrivesTerminal(character.code)) {
      AppendEscaped(character.code, out);
    } else {
      *out += bytes;
    }
  }
  *out += '"';
}

void Append(const Json& json, std::string* out) {
  const char* separator = "";
  switch (json.kind) {
    case Json::Kind::kNull:
      *out += "null";
      break;
    case Json::Kind::kBool:
    case Json::Kind::kNumber:
      *out += json.text;
      break;
    case Json::Kind::kString:
      AppendString(json.text, out);
      break;
    case Json::Kind::kArray:
      *out += '[';
      for (const Json& item : json.items) {
        *out += std::exchange(separator, ",");
        Append(item, out);
      }
      *out += ']';
      break;
    case Json::Kind::kObject:
      *out += '{';
      for (const JsonMember& member : json.members) {
        *out += std::exchange(separator, ",");
        AppendString(member.name, out);
        *out += ':';
        Append(member.value, out);
      }
      *out += '}';
      break;
  }
}

}  // namespace

const Json* Json::Find(std::string_view name) const {
  for (const JsonMember& member : members)
    if (member.name == name) return &member.value;
  return nullptr;
}

std::string Json::Dump() const {
  std::string out;
  Append(*this, &out);
  return out;
}

Json JsonText(std::string_view text) {
  return {.kind = Json::Kind::kString, .text = std::string(text), .items = {}, .members = {}};
}

Json JsonNumber(std::string_view digits) {
  return {.kind = Json::Kind::kNumber, .text = std::string(digits), .items = {}, .members = {}};
}

Json JsonBool(bool value) {
  return {.kind = Json::Kind::kBool, .text = value ? "true" : "false", .items = {}, .members = {}};
}

Json JsonArray(std::vector<Json> items) {
  return {.kind = Json::Kind::kArray, .text = {}, .items = std::move(items), .members = {}};
}

Json JsonObject(std::vector<JsonMember> members) {
  return {.kind = Json::Kind::kObject, .text = {}, .items = {}, .members = std::move(members)};
}

std::optional<Json> ParseJson(std::string_view text) {
  const Mended mended = Mend(ValidUtf8(text));
  Builder builder(mended.numbers);
  if (!Parser::sax_parse(mended.text, &builder)) return std::nullopt;
  return builder.Take();
}

}  // namespace pg_live
