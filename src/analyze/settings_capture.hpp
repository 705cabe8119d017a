// The settings that a query's meaning and the text of its rows depend on: captured from the
// subscriber, applied around every evaluation. Process: client backend (captures), decoder
// (applies).
#pragma once

#include "pg/postgres.hpp"
#include "pg/session_identity.hpp"

namespace live_queries {

// The settings as text: the same settings give the same text. In CurrentMemoryContext.
char* CaptureSettings();

// The settings that are the session's own, in the names of extensions and of applications (such as
// app.tenant), as a list of (String, String). Functions may read them; names, input and output do
// not, so they are no part of what queries of one shape have in common.
List* CaptureOwnSettings();

// Whether the process knows no other name of an application. It keeps those that it ever had, as
// empty, where a session that never had them raises an error, or reads NULL.
bool HaveAllOwnSettings(List* settings);

// `settings` with the session's own, where they are not in it yet: for queries of which functions
// run for each row. There they are a part of what queries of one shape have in common.
const char* WithOwnSettings(const char* settings);

// Applies these, within EnterSettings. What cannot be set here stays as it is.
void ApplyOwnSettings(List* settings);

// Applies `settings` until LeaveSettings. May ereport: a value may have no meaning any more.
// Returns what LeaveSettings needs; on error the (sub)transaction's abort restores everything.
int EnterSettings(const char* settings);
void LeaveSettings(int level);

// Runs as `role` with `settings` until LeaveIdentity; as safe for a superuser's process as
// PostgreSQL makes it (a security-restricted operation). On error the transaction's abort restores
// everything. In a transaction.
struct Identity {
  Oid outer_role;
  int outer_context;
  int settings_level;
};
Identity EnterIdentity(Oid role, const char* settings);
// The same, and the session is that of the subscriber meanwhile.
Identity EnterIdentity(const SessionIdentity& session, Oid role, const char* settings);
void LeaveIdentity(const Identity& identity);

}  // namespace live_queries
