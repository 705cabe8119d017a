// Identifiers of connections, subscriptions and notification channels.
//
// Owns: their value types, their limits and their text forms. Used by every folder of src/ and safe
// in shared memory. Pure: no server header, no allocation, nothing throws or reports.
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace live_queries {

// A client connection, numbered from 1 since the server started; never reused, unlike a pid.
struct ConnectionId {
  uint64_t value;

  bool operator==(const ConnectionId&) const = default;
};

inline constexpr ConnectionId kInvalidConnectionId{0};

inline constexpr size_t kMaxSubscriptionIdBytes = 128;

// The name that a client gave to a subscription: 1 to 128 bytes of the database's encoding, unique
// on its connection. Stored inline; the bytes after the name are zero, so that two equal ids are
// equal as memory too (a hash key). A default-constructed one is empty and stands for "none".
class SubscriptionId {
 public:
  constexpr SubscriptionId() = default;

  // Nothing if `text` is empty, longer than kMaxSubscriptionIdBytes or has a NUL byte in it.
  static constexpr std::optional<SubscriptionId> Parse(std::string_view text) {
    if (text.empty() || text.size() > kMaxSubscriptionIdBytes) return std::nullopt;
    SubscriptionId id;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\0') return std::nullopt;
      id.bytes_[i] = text[i];
    }
    id.length_ = static_cast<uint8_t>(text.size());
    return id;
  }

  // Valid as long as this object is.
  constexpr std::string_view view() const { return {bytes_, length_}; }

  constexpr bool operator==(const SubscriptionId& other) const { return view() == other.view(); }

 private:
  char bytes_[kMaxSubscriptionIdBytes] = {};
  uint8_t length_ = 0;
};

static_assert(std::is_standard_layout_v<SubscriptionId>);
static_assert(std::is_trivially_copyable_v<SubscriptionId>);
static_assert(sizeof(SubscriptionId) == kMaxSubscriptionIdBytes + 1);

// What identifies a subscription in the whole cluster, for people. `user` is borrowed.
struct LiveId {
  std::string_view user;
  ConnectionId connection;
  SubscriptionId subscription;
};

inline constexpr size_t kMaxUserBytes = 64;         // NAMEDATALEN
inline constexpr size_t kMaxConnectionDigits = 20;  // of 2^64 - 1
inline constexpr size_t kMaxLiveIdBytes =
    kMaxUserBytes + 1 + kMaxConnectionDigits + 1 + kMaxSubscriptionIdBytes;

namespace internal {

using DecimalBuffer = std::array<char, kMaxConnectionDigits>;

inline std::string_view FormatDecimal(uint64_t value, DecimalBuffer& buffer) {
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), static_cast<size_t>(result.ptr - buffer.data())};
}

}  // namespace internal

// Writes `user-connection-subscription` and returns its length; writes nothing and returns 0 if
// `out` is too small. kMaxLiveIdBytes are always enough for a role name of the server. User names
// and subscription ids contain dashes, so two different ids may have one text ("a", 1, "2-x" and
// "a-1", 2, "x"): who looks up by text must expect several matches.
inline size_t FormatLiveId(const LiveId& id, std::span<char> out) {
  internal::DecimalBuffer buffer;
  const std::string_view connection = internal::FormatDecimal(id.connection.value, buffer);
  const std::array<std::string_view, 5> parts = {id.user, "-", connection, "-",
                                                 id.subscription.view()};
  size_t length = 0;
  for (const std::string_view part : parts) length += part.size();
  if (length > out.size()) return 0;

  char* end = out.data();
  for (const std::string_view part : parts) {
    if (!part.empty()) std::memcpy(end, part.data(), part.size());
    end += part.size();
  }
  return length;
}

inline constexpr std::string_view kChannelPrefix = "live_queries_";
inline constexpr size_t kChannelRandomBytes = 16;
// Below NAMEDATALEN, as LISTEN demands.
inline constexpr size_t kChannelBytes = kChannelPrefix.size() + 2 * kChannelRandomBytes;

// Writes the channel's name, kChannelBytes long and without a closing NUL, and returns its length;
// writes nothing and returns 0 if `out` is too small. `random` must be unguessable.
inline size_t FormatChannel(std::span<const uint8_t, kChannelRandomBytes> random,
                            std::span<char> out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  if (out.size() < kChannelBytes) return 0;
  std::memcpy(out.data(), kChannelPrefix.data(), kChannelPrefix.size());
  char* end = out.data() + kChannelPrefix.size();
  for (const uint8_t byte : random) {
    *end++ = kDigits[byte >> 4];
    *end++ = kDigits[byte & 0xF];
  }
  return kChannelBytes;
}

}  // namespace live_queries
