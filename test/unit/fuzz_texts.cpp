// Fuzz target: any bytes as each of the texts that are read: ids, positions, delivery, status.
// What is accepted is written back as it was.
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "model/delivery.hpp"
#include "model/identifiers.hpp"
#include "model/seq_id.hpp"
#include "model/subscription_status.hpp"
#include "model/utc_timestamp.hpp"

namespace {

using namespace live_queries;

void Require(bool condition) {
  if (!condition) std::abort();
}

void ReadSeqId(std::string_view text) {
  const auto seq = ParseSeqId(text);
  if (!seq) return;
  std::array<char, kSeqIdDigits> digits;
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  Require(FormatSeqId(*seq, digits) == upper);
}

void ReadNames(std::string_view text) {
  if (const auto delivery = ParseDelivery(text)) Require(ToText(*delivery) == text);
  if (const auto status = ParseSubscriptionStatus(text)) Require(ToText(*status) == text);
}

// A byte that tells how long the user is, the connection's number, the user, the subscription.
void ReadLiveId(std::string_view text) {
  if (text.size() < 1 + sizeof(uint64_t)) return;
  LiveId id{};
  const size_t cut = static_cast<unsigned char>(text.front()) % kMaxUserBytes;
  std::memcpy(&id.connection.value, text.data() + 1, sizeof(uint64_t));
  text.remove_prefix(1 + sizeof(uint64_t));
  id.user = text.substr(0, cut);
  const std::string_view name = text.substr(id.user.size());
  const auto subscription = SubscriptionId::Parse(name);
  Require(subscription.has_value() == (!name.empty() && name.size() <= kMaxSubscriptionIdBytes &&
                                       name.find('\0') == std::string_view::npos));
  if (!subscription) return;
  Require(subscription->view() == name);
  id.subscription = *subscription;
  std::array<char, kMaxLiveIdBytes> buffer;
  const std::string_view written(buffer.data(), FormatLiveId(id, buffer));
  Require(!written.empty() && written.starts_with(id.user) && written.ends_with(name));
}

void WriteTime(std::string_view bytes) {
  int64_t micros = 0;
  if (bytes.size() < sizeof(micros)) return;
  std::memcpy(&micros, bytes.data(), sizeof(micros));
  TimestampBuffer buffer;
  Require(FormatTimestamp(micros, buffer).ends_with("+00:00"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ReadSeqId(text);
  ReadNames(text);
  ReadLiveId(text);
  WriteTime(text);
  return 0;
}
