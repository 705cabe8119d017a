// Who may act on a subscription: the one rule for every function that reads, changes or ends one of
// this connection. Code of other roles runs in a session too (triggers and other functions with
// SECURITY DEFINER); and whoever has become a role with SET LOCAL ROLE to subscribe is itself again
// after COMMIT. Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Whether the current role may become `role`: it is that role, a member of it, whether it inherits
// or not, or a superuser. Reads catalogs.
bool MayActFor(Oid role);

// Whether the session itself is at work, as the role that it has set, and not a function of another
// role.
bool IsSessionItself();

// Whether the session has lost the role of `subscription`, which is why that is over. Reads
// catalogs.
bool HasLostRole(const LocalSubscription& subscription);

// Raises 42501 unless it may become the role of `subscription`.
void RequireMayAct(const LocalSubscription& subscription);

}  // namespace live_queries
