// Reads what message.hpp writes: the single changes of a body, and the members of their rows.
//
// Owns: just so much of JSON as that takes. A value is borrowed text, never looked into: the server
// wrote it, and text that is equal is an equal value. Used where the messages of a subscription
// are merged (deliver/net_changes.hpp). Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "model/json_text.hpp"

namespace live_queries {

namespace internal {

// Where the value that begins at `at` ends: before the comma, bracket or brace behind it, or with
// the text; npos if it does not.
constexpr size_t EndOfJsonValue(std::string_view text, size_t at) {
  size_t depth = 0;
  bool in_string = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') ++at;
      in_string = c != '"';
      continue;
    }
    if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      --depth;
    } else if (c == ',' && depth == 0) {
      return at;
    }
  }
  return in_string || depth > 0 ? std::string_view::npos : text.size();
}

}  // namespace internal

// A member of an object: `"name":value`.
struct JsonMember {
  std::string_view name;  // with its quotes
  std::string_view value;
  std::string_view whole;
};

// Reads the members of an object as row_to_json writes it, without space around names. Whatever is
// not one ends the reading.
class MemberReader {
 public:
  constexpr explicit MemberReader(std::string_view object) : text_(object) {}

  constexpr std::optional<JsonMember> Next() {
    // Behind the brace, or the comma.
    const size_t start = at_ + 1;
    if (start >= text_.size() || text_[start] != '"') return Stop();
    size_t end = start + 1;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    if (end + 1 >= text_.size() || text_[end + 1] != ':') return Stop();
    at_ = internal::EndOfJsonValue(text_, end + 2);
    if (at_ >= text_.size()) return Stop();
    return JsonMember{text_.substr(start, end + 1 - start), text_.substr(end + 2, at_ - end - 2),
                      text_.substr(start, at_ - start)};
  }

 private:
  constexpr std::nullopt_t Stop() {
    at_ = text_.size();
    return std::nullopt;
  }

  std::string_view text_;
  size_t at_ = 0;  // of the brace or the comma that was read last
};

// A change as it is told.
struct ChangeText {
  enum class Op : unsigned char { kInsert, kUpdate, kDelete, kClear };

  Op op;
  std::string_view key;       // empty: kClear
  std::string_view row;       // likewise
  std::string_view old;       // empty: none
  std::string_view position;  // likewise: it is in no list
};

// Reads the changes of a body. What is no change ends the reading, with corrupt() true.
class ChangeReader {
 public:
  constexpr explicit ChangeReader(std::string_view body) : body_(body) {}

  constexpr std::optional<ChangeText> Next() {
    if (corrupt_ || at_ >= body_.size()) return std::nullopt;
    const size_t end = internal::EndOfJsonValue(body_, at_);
    corrupt_ = end == std::string_view::npos || (end < body_.size() && body_[end] != ',');
    if (corrupt_) return std::nullopt;
    const std::optional<ChangeText> change = Parse(body_.substr(at_, end - at_));
    corrupt_ = !change;
    at_ = end + 1;
    return change;
  }

  constexpr bool corrupt() const { return corrupt_; }

 private:
  using Op = ChangeText::Op;

  static constexpr std::optional<Op> OpOf(std::string_view text) {
    if (text == "\"insert\"") return Op::kInsert;
    if (text == "\"update\"") return Op::kUpdate;
    if (text == "\"delete\"") return Op::kDelete;
    if (text == "\"clear\"") return Op::kClear;
    return std::nullopt;
  }

  static constexpr std::optional<ChangeText> Parse(std::string_view text) {
    MemberReader members(text);
    const auto first = members.Next();
    const auto op = first && first->name == "\"op\"" ? OpOf(first->value) : std::nullopt;
    if (!op) return std::nullopt;
    ChangeText change = {*op, {}, {}, {}, {}};
    if (*op == Op::kClear) return members.Next() ? std::nullopt : std::optional(change);
    const auto key = members.Next();
    const auto row = key ? members.Next() : std::nullopt;
    if (!row || key->name != "\"key\"" || row->name != "\"row\"") return std::nullopt;
    change.key = key->value;
    change.row = row->value;
    auto other = members.Next();
    if (other && other->name == "\"old\"") {
      change.old = other->value;
      other = members.Next();
    }
    if (other && other->name == "\"position\"") {
      change.position = other->value;
      other = members.Next();
    }
    // What is not known here would be lost.
    return other ? std::nullopt : std::optional(change);
  }

  std::string_view body_;
  size_t at_ = 0;
  bool corrupt_ = false;
};

// Writes a row as it was before an update: `row`, but for the members that `old` has. Those are in
// the order of the row.
template <TextSink S>
void WriteRowBefore(S& sink, std::string_view row, std::string_view old) {
  MemberReader members(row);
  MemberReader old_members(old);
  auto replaced = old_members.Next();
  bool first = true;
  while (const auto member = members.Next()) {
    const bool was_other = replaced && replaced->name == member->name;
    sink.Append(first ? std::string_view("{") : std::string_view(","));
    sink.Append(was_other ? replaced->whole : member->whole);
    if (was_other) replaced = old_members.Next();
    first = false;
  }
  sink.Append(first ? std::string_view("{}") : std::string_view("}"));
}

// Writes the members of `before` that are not the same in `after`, a row of the same columns, as an
// object. Returns whether there are any.
template <TextSink S>
bool WriteOldMembers(S& sink, std::string_view before, std::string_view after) {
  MemberReader members(before);
  MemberReader others(after);
  bool any = false;
  while (const auto member = members.Next()) {
    const auto other = others.Next();
    if (other && other->value == member->value) continue;
    sink.Append(any ? std::string_view(",") : std::string_view("{"));
    sink.Append(member->whole);
    any = true;
  }
  sink.Append(any ? std::string_view("}") : std::string_view("{}"));
  return any;
}

}  // namespace live_queries
