// The list of refusals, newest first, so that a rollback takes back those that it has made.
// Process: client backend.
#include "deliver/refusals.hpp"

#include "pg/memory.hpp"
#include "registry/connection.hpp"

namespace live_queries {
namespace {

struct Refusal {
  Refusal* older;
  uint64_t number;  // counted by the connection
  Oid role;
  bool confirmed;
  bool all;
  SubscriptionId id;
  uint64_t newest_subscription;  // that is meant, as NumberOfSerial
};

Refusal* newest_refusal = nullptr;
uint64_t last_refusal = 0;

}  // namespace

void Refuse(Oid role, const SubscriptionId* id) {
  Refusal* refusal = AllocateIn<Refusal>(TopMemoryContext);
  *refusal = {newest_refusal,
              ++last_refusal,
              role,
              false,
              id == nullptr,
              {},
              pg_atomic_read_u64(&Control()->subscriptions_created)};
  if (id != nullptr) refusal->id = *id;
  newest_refusal = refusal;
}

bool IsRefused(Oid role, std::string_view id, const RecordHeader& header, Which which) {
  if (header.kind != RecordKind::kTerminated) return false;
  const uint64_t number = NumberOfSerial(header.subscription_serial);
  for (const Refusal* one = newest_refusal; one != nullptr; one = one->older)
    if ((one->confirmed || which == Which::kAny) && one->role == role &&
        number <= one->newest_subscription && (one->all || one->id.view() == id))
      return true;
  return false;
}

uint64_t LastRefusal() { return last_refusal; }

void TakeBackRefusals(uint64_t last) {
  while (newest_refusal != nullptr && newest_refusal->number > last) {
    Refusal* refusal = newest_refusal;
    newest_refusal = refusal->older;
    pfree(refusal);
  }
}

void ConfirmRefusals() {
  for (Refusal* one = newest_refusal; one != nullptr; one = one->older) one->confirmed = true;
}

void ForgetConfirmedRefusals() {
  for (Refusal** link = &newest_refusal; *link != nullptr;) {
    Refusal* one = *link;
    if (!one->confirmed) {
      link = &one->older;
      continue;
    }
    *link = one->older;
    pfree(one);
  }
}

}  // namespace live_queries
