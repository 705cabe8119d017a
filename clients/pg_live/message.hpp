// One message of live_queries: the payload of a notification, read.
//
// Owns: Message and Change, which follow the README's section "Messages". Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg_live/json.hpp"

namespace pg_live {

struct Change {
  enum class Op { kInsert, kUpdate, kDelete, kClear };

  Op op = Op::kInsert;
  std::string key;  // as JSON
  Json row;
  Json old;                        // the former values of what an update has changed
  std::optional<size_t> position;  // in a result with ORDER BY and LIMIT
};

struct Message {
  enum class Type { kChanges, kReset, kTerminated, kOther };

  Type type = Type::kOther;
  std::string subscription_id;
  std::string seq;
  std::string committed_at;
  std::string reason;
  std::string code;   // SQLSTATE of a termination
  bool more = false;  // further messages of the same point follow
  std::vector<Change> changes;
  Json json;  // all of it
};

// Nothing where that is no message as the README describes them.
std::optional<Message> ParseMessage(std::string_view payload);

// One for each live query: the server tells several by one message of the same changes, if the
// session asks for that (live_queries.share_messages).
std::vector<Message> ForEachReceiver(Message message);

}  // namespace pg_live
