// Resets and ends subscriptions, whoever they belong to: marks them, and puts what their clients
// are told into the mailbox, past its limits. Process: any.
#pragma once

#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"
#include "registry/connection.hpp"

namespace live_queries {

// Tells the client of a subscription, if it is still there, that changes are lost: to refresh. What
// else is done for it until then is up to the caller.
void ResetSubscription(ConnectionShared* connection, uint64_t serial, const char* reason);

// Ends a subscription, if it is still there: its client is told, its worker forgets it. Returns
// whether it was there. If it ereports, nothing has changed.
bool TerminateSubscription(ConnectionShared* connection, uint64_t serial,
                           const ProblemShared& problem);

// The same, and ends with it what is to take its place in a transaction of its client's, or has
// taken it since the caller looked. If it ereports, one of them may have ended.
bool KillSubscription(ConnectionShared* connection, uint64_t serial, const ProblemShared& problem);

// The extension was dropped in this database: its subscriptions are to be ended. Never ereports, as
// the transaction has committed.
void NoteExtensionDropped();

// Ends the subscriptions of a database in which that has happened. Process: launcher.
void TerminateDropped(DatabaseShared* database);

// The body of a subscription's last message.
struct TerminationBody {
  char bytes[kSqlStateBytes + kMaxProblemBytes];
  size_t length;
  std::string_view view() const { return {bytes, length}; }
};
TerminationBody WriteTermination(const ProblemShared& problem);

}  // namespace live_queries
