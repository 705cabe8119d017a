// Who a client's session is: all that SQL can ask of it (session_user, the settings role,
// session_authorization and is_superuser), kept with each subscription and taken on wherever its
// expressions are evaluated. Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

struct SessionIdentity {
  Oid user;         // session_user
  Oid set_role;     // as SET ROLE gave it; InvalidOid: none
  bool may_become;  // whether `user` could become the subscription's role when it subscribed

  bool operator==(const SessionIdentity&) const = default;
};

// The identity of this session, for what it does as `role`.
SessionIdentity CaptureSession(Oid role);

// Raises an error if a session of this identity could not be, or be `role`, any more: 42704 if one
// of the roles has been dropped, 42501 if the membership has ended. What a SECURITY DEFINER
// function of a role made that the user never could become lasts without.
void RequireSession(const SessionIdentity& session, Oid role);

// Once in the decoder, outside a transaction: makes its own identity one that can be restored.
void PrepareSessionIdentity();

// Makes this session `session`, until the running level of settings ends (see NewGUCNestLevel) or
// its transaction is aborted. Changes the current role, and raises an error if the user may not SET
// ROLE any more. Nothing of a session changes within a SECURITY DEFINER function: there this does
// nothing.
void EnterSession(const SessionIdentity& session);

}  // namespace live_queries
