// For tests: what of the extension is in use in shared memory. A build with fault points only; its
// SQL function is no part of the extension (test/faults/Faults.pm). Process: any.
#include "pg/fault.hpp"

#ifdef LIVE_QUERIES_FAULTS

#include "pg/settings.hpp"
#include "registry/connection.hpp"
#include "registry/limits.hpp"

extern "C" {
LIVE_QUERIES_FUNCTION(live_queries_fault_leftovers);
}

namespace live_queries {
namespace {

bool IsHeld(LWLock* lock) {
  if (!LWLockConditionalAcquire(lock, LW_EXCLUSIVE)) return true;
  LWLockRelease(lock);
  return false;
}

struct Counted {
  uint64_t bytes;
  uint32 subscriptions;
};

Counted CountedOfRoles() {
  Counted counted = {0, 0};
  for (int index = 0; index < ConnectionCapacity(); ++index) {
    counted.bytes += RoleUsageAt(index)->bytes.Load();
    counted.subscriptions += RoleUsageAt(index)->subscriptions.Load();
  }
  return counted;
}

text* Leftovers() {
  int connections = 0;
  int held = IsHeld(ControlLock()) ? 1 : 0;
  for (int index = 0; index < ConnectionCapacity(); ++index) {
    if (ConnectionAt(index)->connection_id.Load() != 0) ++connections;
    if (IsHeld(ConnectionAt(index)->lock)) ++held;
  }
  uint32 of_databases = 0;
  for (int i = 0; i < max_databases; ++i) of_databases += CountSubscriptions(*DatabaseAt(i));
  const SharedCount used = CountedShared();
  const Counted of_roles = CountedOfRoles();
  return cstring_to_text(
      psprintf("pieces " INT64_FORMAT ", bytes " INT64_FORMAT ", of roles " UINT64_FORMAT
               ", connections %d, subscriptions %u, of databases %u, of roles %u, locks %d",
               used.pieces, used.bytes, of_roles.bytes, connections,
               Control()->subscription_count.Load(), of_databases, of_roles.subscriptions, held));
}

}  // namespace
}  // namespace live_queries

// fault_leftovers(): text
Datum live_queries_fault_leftovers(PG_FUNCTION_ARGS) {
  static_cast<void>(fcinfo);
  PG_RETURN_TEXT_P(live_queries::Leftovers());
}

#endif  // LIVE_QUERIES_FAULTS
