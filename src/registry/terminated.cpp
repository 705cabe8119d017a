// Puts what has ended into the ring, with its texts cut at a character's boundary. Process: any.
#include "registry/terminated.hpp"

#include "registry/definition_table.hpp"
#include "registry/kept_problem.hpp"
#include "registry/limits.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace live_queries {
namespace {

using KeptText = char[kKeptTextBytes];
constexpr std::string_view kMark = "...";

// What has to be known of a field: whether it is too long, and the whole of the character in which
// the limit may be.
struct FieldStart {
  char bytes[kKeptTextBytes + MAX_MULTIBYTE_CHAR_LEN];
  std::string_view Of(const DefinitionShared& definition, DefinitionField field) {
    return {bytes, CopyField(definition, field, bytes, sizeof(bytes))};
  }
};

// At most `limit` bytes of `text`, cut between characters of the encoding of its database, which
// may be another than that of this process.
size_t Clip(int encoding, std::string_view text, size_t limit) {
  if (text.size() <= limit) return text.size();
  return static_cast<size_t>(pg_encoding_mbcliplen(
      encoding, text.data(), static_cast<int>(text.size()), static_cast<int>(limit)));
}

void Join(KeptText& to, std::string_view start, std::string_view end) {
  memcpy(to, start.data(), start.size());
  memcpy(to + start.size(), end.data(), end.size());
  to[start.size() + end.size()] = '\0';
}

void KeepText(KeptText& to, int encoding, std::string_view text) {
  if (text.size() < sizeof(to))
    Join(to, text, "");
  else
    Join(to, text.substr(0, Clip(encoding, text, sizeof(to) - kMark.size() - 1)), kMark);
}

// The same of a text[] literal, `{"a","b",NULL}`, which remains one.
void KeepArray(KeptText& to, int encoding, std::string_view text) {
  constexpr std::string_view kEndOfElement = "...\"}";
  constexpr std::string_view kAnotherElement = "\"...\"}";
  if (text.size() < sizeof(to)) return Join(to, text, "");
  const size_t limit = Clip(encoding, text, sizeof(to) - kAnotherElement.size() - 1);
  size_t cut = 1;
  bool cut_in_quotes = false;
  bool in_quotes = false;
  for (size_t i = 0; i < limit; ++i) {
    if (text[i] == '"') in_quotes = !in_quotes;
    if (in_quotes && text[i] == '\\' && ++i == limit) break;
    if (!in_quotes && text[i] != '{' && text[i] != ',') continue;
    cut = i + 1;
    cut_in_quotes = in_quotes;
  }
  // What is cut within a character of several bytes would not be one.
  cut = Clip(encoding, text, cut);
  Join(to, text.substr(0, cut), cut_in_quotes ? kEndOfElement : kAnotherElement);
}

// What it leads to in the area is about to be freed.
void KeepSubscription(TerminatedShared* kept, const SubscriptionShared& subscription) {
  kept->subscription = subscription;
  kept->subscription.definition = {};
  kept->subscription.problem.whole = InvalidDsaPointer;
}

}  // namespace

TerminatedRingShared* TerminatedRing() { return places.terminated_ring; }

void RetireSubscription(ConnectionShared* connection, SubscriptionShared* subscription) {
  DefinitionShared definition = subscription->definition;
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    TerminatedRingShared* ring = TerminatedRing();
    TerminatedShared& kept = ring->kept[ring->next];
    ring->next = (ring->next + 1) % kTerminatedKept;
    KeepSubscription(&kept, *subscription);
    kept.problem = CopyProblem(subscription->problem);
    kept.connection_id = connection->connection_id.Load();
    kept.pid = connection->pid.Load();
    const int encoding = subscription->encoding;
    FieldStart start;
    KeepText(kept.query, encoding, start.Of(definition, DefinitionField::kQuery));
    KeepArray(kept.params, encoding, start.Of(definition, DefinitionField::kParams));
    KeepArray(kept.tables, encoding, start.Of(definition, DefinitionField::kTables));
  });
  subscription->definition = {};
  GiveUpPlace(connection, subscription);
  LeaveDefinition(connection, &definition);
}

void UpdateTerminated(const SubscriptionShared& subscription) {
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    for (TerminatedShared& kept : TerminatedRing()->kept)
      if (kept.subscription.serial == subscription.serial) KeepSubscription(&kept, subscription);
  });
}

}  // namespace live_queries
