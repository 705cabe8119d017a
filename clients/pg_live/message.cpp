// Reads the JSON of a message; what it does not expect makes it no message.
#include "pg_live/message.hpp"

#include <charconv>
#include <utility>

namespace pg_live {

namespace {

std::string TextOf(const Json& json, std::string_view name) {
  const Json* member = json.Find(name);
  return member == nullptr ? std::string() : member->text;
}

std::optional<size_t> PositionOf(const Json& json) {
  const std::string& digits = json.text;
  size_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::optional<Change::Op> OpOf(std::string_view text) {
  if (text == "insert") return Change::Op::kInsert;
  if (text == "update") return Change::Op::kUpdate;
  if (text == "delete") return Change::Op::kDelete;
  if (text == "clear") return Change::Op::kClear;
  return std::nullopt;
}

std::optional<Change> ChangeOf(const Json& json) {
  Change change;
  const auto op = OpOf(TextOf(json, "op"));
  if (!op) return std::nullopt;
  change.op = *op;
  if (change.op == Change::Op::kClear) return change;
  const Json* key = json.Find("key");
  const Json* row = json.Find("row");
  if (key == nullptr || row == nullptr) return std::nullopt;
  change.key = key->Dump();
  change.row = *row;
  if (const Json* old = json.Find("old")) change.old = *old;
  if (const Json* position = json.Find("position")) {
    change.position = PositionOf(*position);
    if (!change.position) return std::nullopt;
  }
  return change;
}

}  // namespace

std::optional<Message> ParseMessage(std::string_view payload) {
  std::optional<Json> json = ParseJson(payload);
  if (!json || json->kind != Json::Kind::kObject) return std::nullopt;
  Message message;
  const std::string type = TextOf(*json, "type");
  message.subscription_id = TextOf(*json, "subscription_id");
  message.seq = TextOf(*json, "seq");
  message.committed_at = TextOf(*json, "committed_at");
  message.reason = TextOf(*json, "reason");
  message.code = TextOf(*json, "code");
  message.more = TextOf(*json, "more") == "true";
  if (type == "changes") {
    message.type = Message::Type::kChanges;
    const Json* changes = json->Find("changes");
    if (changes == nullptr) return std::nullopt;
    for (const Json& item : changes->items) {
      std::optional<Change> change = ChangeOf(item);
      if (!change) return std::nullopt;
      message.changes.push_back(std::move(*change));
    }
  } else if (type == "reset") {
    message.type = Message::Type::kReset;
  } else if (type == "terminated") {
    message.type = Message::Type::kTerminated;
  }
  message.json = std::move(*json);
  return message;
}

std::vector<Message> ForEachReceiver(Message message) {
  const Json* ids = message.json.Find("subscription_ids");
  if (ids == nullptr) return {std::move(message)};
  std::vector<Message> messages;
  const std::vector<Json> receivers = ids->items;
  for (size_t i = 0; i < receivers.size(); ++i) {
    Message one = message;
    one.subscription_id = receivers[i].text;
    one.more = message.more || i + 1 < receivers.size();
    for (JsonMember& member : one.json.members) {
      if (member.name == "subscription_ids") member = {"subscription_id", receivers[i]};
      if (member.name == "more") member.value = JsonBool(one.more);
    }
    messages.push_back(std::move(one));
  }
  return messages;
}

}  // namespace pg_live
