// Keeps the decoder's templates in step with the registry. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "registry/connection.hpp"
#include "template/template.hpp"

namespace live_queries {

// A subscription's definition, copied out of shared memory.
struct DefinitionCopy {
  Oid role;
  SessionIdentity session;
  uint64_t analysed_at;
  uint64_t values_here;
  Phase phase;
  const char* fields[kDefinitionFields];

  const char* Field(DefinitionField field) const { return fields[static_cast<int>(field)]; }
};

// Copies a definition into CurrentMemoryContext; false if the subscription is gone or over.
bool CopyDefinition(int connection, uint64_t connection_id, uint64_t serial,
                    DefinitionCopy* definition);

// Attaches and detaches what has changed since the last call, or (`everything`) all there is, when
// the decoder starts. Outside a transaction.
void SyncRegistry(bool everything);

// Wakes up what was attached and whose time has come: all that committed before it was attached is
// evaluated (`handled`) and visible to new snapshots. Outside a transaction.
void FinishAttachments(XLogRecPtr handled);

// Ends a subscriber with an error: marks it in the registry, tells its client, detaches it.
void TerminateSubscriber(Subscriber* subscriber, int sqlstate, const char* reason);

// Ends the attachment of a subscriber whose definition may have changed: its client begins anew.
// `values_here`: for the next time, if that is why.
void AskToSubscribeAgain(Subscriber* subscriber, uint64_t values_here = 0);

// Tells a subscriber's client to refresh, now; it gets nothing until then.
void ResetSubscriberNow(Subscriber* subscriber, const char* reason);

}  // namespace live_queries
