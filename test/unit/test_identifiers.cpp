// Tests of model/identifiers.hpp and of the enumerations that users see as text.
#include <array>
#include <cstring>
#include <string>

#include "check.hpp"
#include "model/delivery.hpp"
#include "model/identifiers.hpp"
#include "model/strategy.hpp"
#include "model/subscription_status.hpp"

namespace live_queries {
namespace {

SubscriptionId Id(std::string_view text) {
  const auto id = SubscriptionId::Parse(text);
  CHECK(id.has_value());
  return id ? *id : SubscriptionId();
}

std::string Text(const LiveId& id) {
  std::array<char, kMaxLiveIdBytes> buffer;
  return std::string(buffer.data(), FormatLiveId(id, buffer));
}

TEST(SubscriptionIdTakes1To128BytesWithoutNul) {
  CHECK(!SubscriptionId::Parse(""));
  CHECK_EQ(Id("a").view(), "a");
  CHECK_EQ(Id("offene Aufträge 🙂").view(), "offene Aufträge 🙂");
  const std::string longest(kMaxSubscriptionIdBytes, 'x');
  CHECK_EQ(Id(longest).view(), longest);
  CHECK(!SubscriptionId::Parse(longest + "x"));
  CHECK(!SubscriptionId::Parse(std::string_view("\0", 1)));
  CHECK(!SubscriptionId::Parse(std::string_view("a\0b", 3)));
  CHECK(!SubscriptionId::Parse(std::string_view("ab\0", 3)));
  static_assert(SubscriptionId::Parse("constexpr")->view() == "constexpr");
}

TEST(SubscriptionIdsAreEqualAsTextAndAsMemory) {
  CHECK(Id("abc") == Id("abc"));
  CHECK(Id("abc") != Id("abd"));
  CHECK(Id("abc") != Id("ab"));
  CHECK(SubscriptionId() != Id("a"));
  const SubscriptionId a = Id("abc");
  const SubscriptionId b = Id("abc");
  CHECK(std::memcmp(&a, &b, sizeof a) == 0);
}

TEST(ConnectionIdsCompare) {
  CHECK(ConnectionId{1} == ConnectionId{1});
  CHECK(ConnectionId{1} != kInvalidConnectionId);
}

TEST(LiveIdIsUserConnectionSubscription) {
  CHECK_EQ(Text({"alice", {7}, Id("open-orders")}), "alice-7-open-orders");
  CHECK_EQ(Text({"", {0}, SubscriptionId()}), "-0-");
}

TEST(LongestLiveIdFits) {
  const std::string user(kMaxUserBytes, 'u');
  const std::string subscription(kMaxSubscriptionIdBytes, 's');
  const std::string text = Text({user, {UINT64_MAX}, Id(subscription)});
  CHECK_EQ(text, user + "-18446744073709551615-" + subscription);
  CHECK_EQ(text.size(), kMaxLiveIdBytes);
}

TEST(LiveIdThatDoesNotFitIsNotWritten) {
  const LiveId id{"bob", {12}, Id("x")};  // bob-12-x
  for (size_t room = 0; room <= 10; ++room) {
    std::string out(room, '#');
    const size_t length = FormatLiveId(id, out);
    CHECK_EQ(length, room < 8 ? size_t{0} : size_t{8});
    CHECK_EQ(out, room < 8 ? std::string(room, '#') : "bob-12-x" + std::string(room - 8, '#'));
  }
}

TEST(DashesMakeLiveIdsAmbiguous) {
  CHECK_EQ(Text({"a", {1}, Id("2-x")}), "a-1-2-x");
  CHECK_EQ(Text({"a-1", {2}, Id("x")}), "a-1-2-x");
}

TEST(ChannelIsPrefixAndHexDigits) {
  const std::array<uint8_t, 16> random = {0x00, 0x01, 0x9f, 0xf2, 0xff, 0x10, 0x80, 0x7f,
                                          0xde, 0xad, 0xbe, 0xef, 0xca, 0xfe, 0xba, 0xbe};
  std::string out(kChannelBytes + 1, '#');
  CHECK_EQ(FormatChannel(random, out), kChannelBytes);
  CHECK_EQ(out, "live_queries_00019ff2ff10807fdeadbeefcafebabe#");
  CHECK(kChannelBytes < 64);  // NAMEDATALEN

  std::string small(kChannelBytes - 1, '#');
  CHECK_EQ(FormatChannel(random, small), size_t{0});
  CHECK_EQ(small, std::string(kChannelBytes - 1, '#'));
}

TEST(StatusTextsAreParsedBack) {
  using enum SubscriptionStatus;
  CHECK_EQ(ToText(kActive), "active");
  CHECK_EQ(ToText(kPaused), "paused");
  CHECK_EQ(ToText(kTerminated), "terminated");
  for (const SubscriptionStatus status : {kActive, kPaused, kTerminated})
    CHECK(ParseSubscriptionStatus(ToText(status)) == status);
  for (const std::string_view text : {"", "Active", "active ", "unknown"})
    CHECK(!ParseSubscriptionStatus(text));
  CHECK_EQ(ToText(static_cast<SubscriptionStatus>(99)), "unknown");
}

TEST(TerminatedIsFinal) {
  using enum SubscriptionStatus;
  for (const SubscriptionStatus to : {kActive, kPaused, kTerminated}) {
    CHECK(IsValidTransition(kActive, to));
    CHECK(IsValidTransition(kPaused, to));
    CHECK(!IsValidTransition(kTerminated, to));
    CHECK(!IsValidTransition(static_cast<SubscriptionStatus>(99), to));
  }
  CHECK(!IsValidTransition(kActive, static_cast<SubscriptionStatus>(99)));
}

TEST(DeliveryTextsAreParsedBack) {
  CHECK_EQ(ToText(Delivery::kNotify), "notify");
  CHECK_EQ(ToText(Delivery::kPoll), "poll");
  for (const Delivery delivery : {Delivery::kNotify, Delivery::kPoll})
    CHECK(ParseDelivery(ToText(delivery)) == delivery);
  for (const std::string_view text : {"", "NOTIFY", "poll ", "unknown"})
    CHECK(!ParseDelivery(text));
}

TEST(StrategyHasAText) { CHECK_EQ(ToText(Strategy::kStream), "stream"); }

}  // namespace
}  // namespace live_queries
