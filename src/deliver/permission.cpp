// Compares the current role with a subscription's, as the server does for SET ROLE, and raises who
// it belongs to. Process: client backend.
#include "deliver/permission.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "miscadmin.h"
}

namespace live_queries {

bool MayActFor(Oid role) { return MaySetRole(GetUserId(), role); }

bool IsSessionItself() { return GetUserId() == GetOuterUserId(); }

bool HasLostRole(const LocalSubscription& subscription) {
  const SessionIdentity& session = subscription.session;
  return session.may_become && !MaySetRole(session.user, subscription.role);
}

void RequireMayAct(const LocalSubscription& subscription) {
  if (MayActFor(subscription.role)) return;
  const char* owner = GetUserNameFromId(subscription.role, true);
  ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
          errmsg("permission denied for live query \"%s\"", CopyText(subscription.id.view())),
          owner == nullptr
              ? errdetail("It belongs to a role that was dropped.")
              : errdetail("It belongs to role \"%s\", which role \"%s\" may not become.", owner,
                          GetUserNameFromId(GetUserId(), false)),
          owner == nullptr
              ? 0
              : errhint("Use SET ROLE %s, or a function of that role or a member of it that is "
                        "SECURITY DEFINER.",
                        quote_identifier(owner)));
}

}  // namespace live_queries
