// Reading messages.
#include "../../../test/unit/check.hpp"
#include "pg_live/message.hpp"

using pg_live::Change;
using pg_live::Message;
using pg_live::ParseMessage;

TEST(ChangesAreRead) {
  const auto message = ParseMessage(
      R"({"type":"changes","subscription_id":"q","seq":"00000000016B3748","xid":null,"xids":[7,8],)"
      R"("committed_at":"2026-11-21T22:45:01.123456+00:00","changes":[)"
      R"({"op":"delete","key":[3],"row":{"id":3}},{"op":"clear"},)"
      R"({"op":"update","key":[11],"row":{"id":11,"t":10.00},"old":{"t":9.00},"position":4},)"
      R"({"op":"insert","key":["a",[1]],"row":{"id":17}}],"more":true})");
  CHECK(message.has_value());
  CHECK(message->type == Message::Type::kChanges);
  CHECK_EQ(message->subscription_id, "q");
  CHECK_EQ(message->seq, "00000000016B3748");
  CHECK(message->more);
  CHECK_EQ(message->changes.size(), 4U);
  CHECK(message->changes[0].op == Change::Op::kDelete);
  CHECK(message->changes[1].op == Change::Op::kClear);
  CHECK(message->changes[2].op == Change::Op::kUpdate);
  CHECK_EQ(message->changes[2].old.Dump(), R"({"t":9.00})");
  CHECK_EQ(*message->changes[2].position, 4U);
  CHECK(message->changes[3].op == Change::Op::kInsert);
  CHECK(!message->changes[3].position);
  CHECK_EQ(message->changes[3].key, R"(["a",[1]])");
}

TEST(ResetAndTermination) {
  auto message =
      ParseMessage(R"({"type":"reset","subscription_id":"q","seq":"1","reason":"full"})");
  CHECK(message->type == Message::Type::kReset);
  CHECK_EQ(message->reason, "full");
  message =
      ParseMessage(R"({"type":"terminated","subscription_id":"q","code":"42P01","reason":"gone"})");
  CHECK(message->type == Message::Type::kTerminated);
  CHECK_EQ(message->code, "42P01");
  CHECK(ParseMessage(R"({"type":"progress","seq":"1","snapshot":"1:1:"})")->type ==
        Message::Type::kOther);
}

TEST(ASharedMessageIsOneForEachLiveQuery) {
  const auto messages = pg_live::ForEachReceiver(*ParseMessage(
      R"({"type":"changes","subscription_ids":["a","b"],"seq":"1","changes":[],"more":false})"));
  CHECK_EQ(messages.size(), 2U);
  CHECK_EQ(messages[0].subscription_id, "a");
  CHECK(messages[0].more);
  CHECK_EQ(messages[0].json.Dump(),
           R"({"type":"changes","subscription_id":"a","seq":"1","changes":[],"more":true})");
  CHECK_EQ(messages[1].subscription_id, "b");
  CHECK(!messages[1].more);
}

TEST(WhatIsNoMessageIsNone) {
  CHECK(!ParseMessage("hello"));
  CHECK(!ParseMessage("[]"));
  CHECK(!ParseMessage(R"({"type":"changes"})"));
  CHECK(!ParseMessage(R"({"type":"changes","changes":[{"op":"merge","key":[1],"row":{}}]})"));
  CHECK(!ParseMessage(R"({"type":"changes","changes":[{"op":"insert","row":{}}]})"));
  CHECK(!ParseMessage(
      R"({"type":"changes","changes":[{"op":"insert","key":[1],"row":{},"position":-1}]})"));
}
