// A session's identity by the server's own settings: their hooks keep session user, role and
// is_superuser in step, and the end of a level of settings or an abort restores them without
// looking into a catalog. Process: client backend, decoder.
#include "pg/session_identity.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/inval.h"
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

// As `level` says where it cannot be set.
bool Set(const char* setting, const char* value, int level) {
  return set_config_option(setting, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, level,
                           false) > 0;
}

// The settings are names, and the role may just now be getting another one.
void SetToRole(const char* setting, Oid role) {
  constexpr int kRenamesMeanwhile = 3;
  for (int i = 0; i < kRenamesMeanwhile; ++i) {
    if (Set(setting, NameOf(role), DEBUG1)) return;
    AcceptInvalidationMessages();
  }
  (void)Set(setting, NameOf(role), ERROR);
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
  if (GetSessionUserId() != session.user) SetToRole("session_authorization", session.user);
  if (GetCurrentRoleId() == session.set_role) return;
  if (OidIsValid(session.set_role))
    SetToRole("role", session.set_role);
  else
    (void)Set("role", "none", ERROR);
}

}  // namespace live_queries
