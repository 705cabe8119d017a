// Connections and their subscriptions in shared memory, the only truth about what is live.
// Process: any; each function says who calls it.
#pragma once

#include "model/delivery.hpp"
#include "model/identifiers.hpp"
#include "model/index_set.hpp"
#include "model/strategy.hpp"
#include "model/subscription_status.hpp"
#include "pg/locks.hpp"
#include "pg/session_identity.hpp"
#include "registry/database.hpp"
#include "registry/definition.hpp"
#include "registry/lane.hpp"
#include "registry/problem.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {

enum class Phase : uint8_t {
  kRegistered,  // waits for its consumer
  kAttached,    // that delivers to it
  kFailed,      // that refused it: `problem`
  kOutdated,    // its definition may have changed since: to be analysed again
};

// Guarded by the lock of its connection. There may be very many: the order of its members leaves no
// gaps.
struct SubscriptionShared {
  uint64_t serial;
  SubscriptionId id;
  Phase phase;
  SubscriptionStatus status;
  Delivery delivery;
  Strategy strategy;
  bool counted;       // it takes one of the places among the live ones
  uint8_t consumer;   // the index
  uint8_t sent_back;  // how often consumers have had its query analysed again
  Oid role;
  SessionIdentity session;
  Oid database;
  int encoding;  // of the database, and so of the definition
  KeptProblemShared problem;
  uint64_t analysed_at;  // DatabaseShared::checks before its query was analysed
  uint64_t values_here;  // WatchedValues::here, as the consumer last found it
  uint64_t replaces;  // the subscription whose place it has, and to which that falls back. 0: none
  // Until its transaction has committed, the one that goes on if that is rolled back: the first of
  // all that begin in each other's place in it. Gone after that.
  uint64_t former;
  TimestampTz created_at;
  TimestampTz last_delivered_at;
  uint64_t seq;
  uint64_t messages_put;  // by the consumer
  uint64_t bytes_put;
  uint64_t messages_taken;  // by the client's backend: delivered or dropped
  uint64_t bytes_taken;
  uint64_t messages;  // delivered
  uint64_t changes;
  uint64_t resets;
  DefinitionShared definition;  // none once it is terminated
};
// The area allocates 320 bytes for this, and 384 for a byte more.
static_assert(sizeof(SubscriptionShared) <= 320);

// A place for a subscription within its connection. A serial contains the index of its slot.
struct SlotShared {
  uint64_t serial;  // 0: free
  dsa_pointer subscription;
  int32_t next_free;  // in lists of its lane
  int32_t next_dirty;
  int16_t consumer;  // of its lane
  bool dirty;
};

inline constexpr int kSlotBits = 20;
inline int SlotOfSerial(uint64_t serial) {
  return static_cast<int>(serial & ((uint64_t{1} << kSlotBits) - 1));
}

// The how manieth subscription since the server's start.
inline uint64_t NumberOfSerial(uint64_t serial) { return serial >> kSlotBits; }

// The channel's name with its closing NUL.
using ChannelName = char[kChannelBytes + 1];
// A name that nobody can guess, for a channel or a cursor. May ereport.
void MakeUnguessableName(ChannelName& name);

static_assert(kMaxConsumers <= IndexSet::kCapacity);

// One for each possible backend, at the index of its PGPROC. All guarded by `lock` but where said.
struct ConnectionShared {
  // Never changed.
  LWLock* lock;
  int proc;  // the index of this slot

  // Written under the lock; atomic for those who look without it.
  Atomic<uint64_t> connection_id;  // 0: none
  Atomic<pid_t> pid;
  Atomic<int> backend_id;  // for SendProcSignal
  Atomic<Oid> database;

  ChannelName channel;
  dsa_pointer slots;  // SlotShared[slot_capacity]
  int32_t slot_capacity;
  int32_t slots_used;  // those behind belong to no lane yet

  LaneShared lanes[kMaxConsumers];  // each at the index of its consumer
  // Of which there is most often one, so that nobody has to look at all lanes for each message:
  IndexSet mail_lanes;                // those whose mail, or its loss, the backend has not taken,
  Atomic<IndexSet::Bits> used_lanes;  // and those that have counted subscriptions

  // What it takes (registry/limits.hpp): set with the connection.
  int usage;  // of its role: the index
  Atomic<uint64_t> bytes;

  Atomic<bool> wake_pending;  // a wake-up of the backend is under way
};

// The lanes of the live queries that it has. Without the lock it may be wrong by those that end
// just now, as is their number.
inline IndexSet UsedLanes(const ConnectionShared& connection) {
  return IndexSet(connection.used_lanes.Load());
}
inline int32_t CountSubscriptions(const ConnectionShared& connection) {
  int32_t count = 0;
  for (IndexSet lanes = UsedLanes(connection); !lanes.empty();)
    count += connection.lanes[lanes.TakeFirst()].subscription_count.Load();
  return count;
}

// One live query more, or less, of that consumer. The caller holds the lock.
void CountInLane(ConnectionShared* connection, int consumer);
void UncountInLane(ConnectionShared* connection, int consumer);

// Visits each consumer that has live queries of `connection`, which is this backend's own:
// who may be behind comes first, refreshers before evaluators, these before decoders.
template <class Visit>
void ForEachConsumer(const ConnectionShared& connection, Visit&& visit) {
  DatabaseShared* database = FindDatabase(connection.database.Load());
  if (database == nullptr) return;
  for (IndexSet lanes = UsedLanes(connection); !lanes.empty();)
    visit(&database->consumers[lanes.TakeLast()]);
}

ConnectionShared* ConnectionAt(int index);
int ConnectionCapacity();

// Visits each connection in use, under its lock in `mode`. `visit` must not call what may ereport
// for long.
template <class Visit>
void ForEachConnection(LWLockMode mode, Visit&& visit) {
  for (int index = 0; index < ConnectionCapacity(); ++index) {
    ConnectionShared* connection = ConnectionAt(index);
    if (connection->connection_id.Load() == 0) continue;
    WithLock(connection->lock, mode, [&] {
      if (connection->connection_id.Load() != 0) visit(*connection);
    });
  }
}

// Visits each subscription of `connection`, whose lock the caller holds.
template <class Visit>
void ForEachSubscription(const ConnectionShared& connection, Visit&& visit) {
  if (!DsaPointerIsValid(connection.slots)) return;
  SlotShared* slots = FromArea<SlotShared>(connection.slots);
  for (int slot = 0; slot < connection.slot_capacity; ++slot) {
    if (slots[slot].serial == 0) continue;
    visit(*FromArea<SubscriptionShared>(slots[slot].subscription));
  }
}

// The subscription of that serial (0: none yet), or nullptr. The caller holds the connection's
// lock.
SubscriptionShared* FindSubscription(const ConnectionShared& connection, uint64_t serial);

// Runs `body` on the subscription of that serial, under its connection's lock in `mode`, and
// returns what it returns; false if it is gone.
template <class Body>
bool WithSubscription(const ConnectionShared& connection, uint64_t serial, LWLockMode mode,
                      Body&& body) {
  return WithLock(connection.lock, mode, [&] {
    SubscriptionShared* subscription = FindSubscription(connection, serial);
    return subscription != nullptr && body(subscription);
  });
}

// This backend's connection, or nullptr if it has none (registration.hpp makes it).
ConnectionShared* MyConnectionIfAny();
void SetMyConnection(ConnectionShared* connection);

// Puts a subscription on the list of its connection's that its consumer must look at; followed by
// TellConsumer. The caller holds the connection's lock exclusively.
void MarkSlotDirty(ConnectionShared* connection, uint64_t serial);

// Puts `connection` on the list of what a consumer of its database, or each, must look at, and
// wakes it, if it runs. Never ereports.
void TellConsumer(ConnectionShared* connection, int consumer);
void TellConsumers(ConnectionShared* connection);

// Interrupts the backend of `connection`, so that it takes its mail, unless that is under way
// already. No lock needed. Never ereports.
void WakeConnection(ConnectionShared* connection);

// Empties that list, when the consumer ends. The caller holds ControlLock exclusively.
void ForgetDirtyConnections(ConsumerShared* consumer);

}  // namespace live_queries
