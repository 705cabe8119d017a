// live.unsubscribe, unsubscribe_all, pause, resume and kill. Process: client backend.
#include "client/session.hpp"
#include "deliver/permission.hpp"
#include "pg/encoding.hpp"
#include "registry/connection.hpp"
#include "registry/ending.hpp"
#include "sql_api/arguments.hpp"

extern "C" {
#include "catalog/pg_authid.h"
#include "utils/acl.h"
}

extern "C" {
LIVE_QUERIES_FUNCTION(live_queries_unsubscribe);
LIVE_QUERIES_FUNCTION(live_queries_unsubscribe_all);
LIVE_QUERIES_FUNCTION(live_queries_pause);
LIVE_QUERIES_FUNCTION(live_queries_resume);
LIVE_QUERIES_FUNCTION(live_queries_kill);
}

namespace live_queries {
namespace {

// What is to be ended: found under the lock, judged without it.
struct Candidate {
  ConnectionShared* connection;
  uint64_t connection_id;
  SubscriptionId id;
  uint64_t serial;
  Oid role;
  Oid database;
};

List* AllCandidates() {
  List* candidates = NIL;
  ForEachConnection(LW_SHARED, [&](ConnectionShared& connection) {
    ForEachSubscription(connection, [&](const SubscriptionShared& subscription) {
      if (subscription.status == SubscriptionStatus::kTerminated) return;
      Candidate* candidate = static_cast<Candidate*>(palloc(sizeof(Candidate)));
      *candidate = {&connection,       connection.connection_id.Load(),
                    subscription.id,   subscription.serial,
                    subscription.role, subscription.database};
      candidates = lappend(candidates, candidate);
    });
  });
  return candidates;
}

// As for pg_terminate_backend.
void RequireMayEnd(Oid role) {
  const Oid me = GetUserId();
  const bool allowed = superuser_arg(role) ? superuser()
                                           : has_privs_of_role(me, role) ||
                                                 has_privs_of_role(me, ROLE_PG_SIGNAL_BACKEND);
  if (allowed) return;
  ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
          errmsg("permission denied to end this live query"),
          errhint("You may end those of your own roles, and with pg_signal_backend those of all "
                  "but superusers."));
}

Datum KillCall(FunctionCallInfo call) {
  RequireSharedMemory();
  const std::string_view live_id = TextArgument(call, 0, "live_id");
  bool ended = false;
  ListCell* cell;
  foreach (cell, AllCandidates()) {
    const Candidate& candidate = *static_cast<Candidate*>(lfirst(cell));
    const char* shown =
        ShownLiveId(candidate.role, candidate.connection_id, candidate.id, candidate.database);
    if (shown == nullptr || shown != live_id) continue;
    RequireMayEnd(candidate.role);
    // Its client reads the encoding of its own database.
    const char* killer =
        ValidText(GetUserNameFromId(GetUserId(), false), EncodingOfDatabase(candidate.database));
    ProblemShared problem;
    problem.Set(ERRCODE_QUERY_CANCELED, psprintf("ended by live.kill of role %s", killer), nullptr);
    const bool one = KillSubscription(candidate.connection, candidate.serial, problem);
    ended = ended || one;
  }
  PG_RETURN_BOOL(ended);
}

Datum UnsubscribeCall(FunctionCallInfo call) {
  const SubscriptionId id = IdArgument(call, 0);
  const LocalSubscription* subscription = FindLocal(id);
  if (subscription != nullptr) RequireMayAct(*subscription);
  PG_RETURN_BOOL(UnsubscribeAtCommit(id));
}

Datum UnsubscribeAllCall() {
  RequireSharedMemory();
  PG_RETURN_INT32(UnsubscribeAllAtCommit(Whose::kActedFor));
}

}  // namespace
}  // namespace live_queries

Datum live_queries_unsubscribe(PG_FUNCTION_ARGS) { return live_queries::UnsubscribeCall(fcinfo); }
Datum live_queries_unsubscribe_all(PG_FUNCTION_ARGS) {
  static_cast<void>(fcinfo);
  return live_queries::UnsubscribeAllCall();
}
Datum live_queries_pause(PG_FUNCTION_ARGS) {
  live_queries::SetPaused(live_queries::SubscriptionArgument(fcinfo, 0), true);
  PG_RETURN_VOID();
}
Datum live_queries_resume(PG_FUNCTION_ARGS) {
  live_queries::SetPaused(live_queries::SubscriptionArgument(fcinfo, 0), false);
  PG_RETURN_VOID();
}
Datum live_queries_kill(PG_FUNCTION_ARGS) { return live_queries::KillCall(fcinfo); }
