// A session's identity by the server's own settings: their hooks keep session user, role and
// is_superuser in step, and the end of a level of settings or an abort restores them without
// looking into a catalog. Process: client backend, decoder.
#include "pg/session_identity.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
}

namespace live_queries {
namespace {

const char* NameOf(Oid role) {
  const char* name = GetUserNameFromId(role, true);
  if (name == nullptr)
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
            errmsg("the role or the session user of the live query has been dropped"));
  return name;
}

void RequireMember(Oid user, Oid role) {
  if (MaySetRole(user, role)) return;
  ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
          errmsg("permission denied to set role \"%s\"", NameOf(role)),
          errdetail("Session user \"%s\" of the live query may not become its role any more.",
                    NameOf(user)));
}

void Set(const char* setting, const char* value) {
  (void)set_config_option(setting, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                          false);
}

}  // namespace

SessionIdentity CaptureSession(Oid role) {
  const Oid user = GetSessionUserId();
  return {user, GetCurrentRoleId(), MaySetRole(user, role)};
}

void RequireSession(const SessionIdentity& session, Oid role) {
  (void)NameOf(session.user);
  (void)NameOf(role);
  if (OidIsValid(session.set_role)) RequireMember(session.user, session.set_role);
  if (session.may_become) RequireMember(session.user, role);
}

// A background worker has a session user, but no value of the setting to go back to.
void PrepareSessionIdentity() {
  StartTransactionCommand();
  SetConfigOption("session_authorization", GetUserNameFromId(GetSessionUserId(), false),
                  PGC_BACKEND, PGC_S_OVERRIDE);
  CommitTransactionCommand();
}

void EnterSession(const SessionIdentity& session) {
  if (InLocalUserIdChange() || InSecurityRestrictedOperation()) return;
  // This resets the role, as in SQL.
  if (GetSessionUserId() != session.user) Set("session_authorization", NameOf(session.user));
  if (GetCurrentRoleId() != session.set_role)
    Set("role", OidIsValid(session.set_role) ? NameOf(session.set_role) : "none");
}

}  // namespace live_queries
