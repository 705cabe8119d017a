// What a client's backend knows of its own subscriptions, and how that follows its transactions:
// subscribe, unsubscribe, pause, resume and refresh take effect at commit and are undone by
// ROLLBACK and ROLLBACK TO, as is what poll and snapshot have read. deliver/README.md draws it.
// Process: client backend.
#pragma once

#include "deliver/record_queue.hpp"
#include "model/delivery.hpp"
#include "model/flow_control.hpp"
#include "model/identifiers.hpp"
#include "pg/postgres.hpp"
#include "pg/session_identity.hpp"

extern "C" {
#include "utils/snapshot.h"
}

namespace live_queries {

// The part of an MVCC snapshot that tells whether a top-level transaction is visible in it.
struct VisibilityBound {
  TransactionId xmin;
  TransactionId xmax;
  uint32 running_count;
  TransactionId* running;
  uint64_t lsn;  // all that commits past it is invisible

  bool Sees(TransactionId xid, uint64_t commit_lsn) const;
};

// How far the client has read the first result: client/first_result.cpp.
struct FirstResult {
  char cursor[NAMEDATALEN];  // "": none, or read to its end
  uint64_t read;             // of the rows that are in its store
  uint64_t place;            // of the store's next row
  bool complete;             // read to its end, if the running transaction commits
};

// Lives in a memory context of its own, below TopMemoryContext.
struct LocalSubscription {
  MemoryContext context;
  LocalSubscription* next;
  uint64_t serial;
  SubscriptionId id;
  Delivery delivery;
  Oid role;
  SessionIdentity session;
  FlowControl flow;
  VisibilityBound bound;
  FirstResult first;
  char* query;
  List* params;
  char* settings;  // query/settings_capture.hpp
  RecordQueue* held;
  bool dropping;      // ends at commit
  bool terminated;    // its last message is on its way: remove it
  bool told_off;      // a reset or termination came while it was dropping
  bool leaves_queue;  // poll_queue.cpp: the queue that is being sorted has messages of it
  // Not in shared memory yet.
  uint64_t taken_messages;
  uint64_t taken_bytes;
  uint64_t delivered_messages;
  uint64_t delivered_changes;
  uint64_t delivered_resets;
  uint64_t delivered_seq;
};

// Installs the transaction callbacks. In every process, from _PG_init.
void InstallSessionCallbacks();

// The subscription of that id that is not being dropped, or nullptr.
LocalSubscription* FindLocal(const SubscriptionId& id);
// The same by serial, dropped ones included.
LocalSubscription* FindLocal(uint64_t serial);
LocalSubscription* FirstLocal();

// Adds a subscription that exists from the commit on. The caller registers it then, and
// until SetSerial a rollback only forgets it.
LocalSubscription* AddLocal(const SubscriptionId& id);
// Says that it is registered, under that serial.
void SetSerial(LocalSubscription* subscription, uint64_t serial);
// Ends it at commit.
void DropAtCommit(LocalSubscription* subscription);
// The same for the one of that id, or for many. A termination that waits for live.poll, and that
// the current role might poll, goes with them. Returns whether there was one, or how many.
bool UnsubscribeAtCommit(const SubscriptionId& id);
enum class Whose : uint8_t { kAnybodys, kActedFor };  // for whom the current role may act
int32_t UnsubscribeAllAtCommit(Whose whose);
// Pauses or resumes it, at once, undone by a rollback.
void SetPaused(LocalSubscription* subscription, bool paused);
// Remembers that live.snapshot reads stored rows, so that a rollback gives them back.
void NoteRead(LocalSubscription* subscription);
// Remembers that live.poll reads messages of `role`, so that a rollback gives back all since there
// were `before`.
void NotePolled(Oid role, uint64_t before);

// Raises 0A000 if the running transaction has changed live queries: what it did cannot wait for
// COMMIT PREPARED.
void RefusePrepare();

// Whether this connection will listen to its channel if the running transaction commits.
void SetListening(bool on);
bool IsListening();

// Forgets one that was terminated, at once.
void ForgetTerminated(LocalSubscription* subscription);

}  // namespace live_queries
