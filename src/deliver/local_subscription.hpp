// What a client's backend knows of its own subscriptions: the roll of them, and the records that
// wait for each. Its transactions change it (client/session.hpp), and so does delivery. Process:
// client backend.
#pragma once

#include <span>

#include "deliver/record_queue.hpp"
#include "deliver/visibility_bound.hpp"
#include "model/delivery.hpp"
#include "model/flow_control.hpp"
#include "model/identifiers.hpp"
#include "model/index_set.hpp"
#include "pg/postgres.hpp"
#include "pg/session_identity.hpp"
#include "registry/connection.hpp"

namespace live_queries {

// How far the client has read the first result, for client/first_result.cpp.
struct FirstResult {
  ChannelName cursor;  // "": none, or read to its end
  ChannelName copy;    // of the cursor, whose rows are being stored or were
  bool complete;       // read to its end, if the running transaction commits
  uint64_t read;       // of the rows that are in its store
  uint64_t place;      // of the store's next row
};

struct Throttle;  // deliver/throttle.hpp

struct DeliveredCounts {
  uint64_t messages;
  uint64_t changes;
  uint64_t resets;
  uint64_t seq;  // of the last one

  void Add(const RecordHeader& header, SeqId carried);
  void Add(const DeliveredCounts& others);
  // Was added, and is not to be told after all.
  void TakeBack(const RecordHeader& header);
};

// Lives in a memory context of its own, below TopMemoryContext.
struct LocalSubscription {
  MemoryContext context;
  int place;                        // on the roll, from 1
  int stirring;                     // likewise among those that stir; 0: it does not
  LocalSubscription* next_of_hash;  // of its id
  uint64_t serial;                  // 0: not registered
  SubscriptionId id;
  int consumer;
  Delivery delivery;
  Oid role;
  SessionIdentity session;
  FlowControl flow;
  VisibilityBound bound;
  FirstResult first;
  char* query;
  List* params;
  char* settings;  // analyze/settings_capture.hpp
  int refresh_ms;  // model/clock_steps.hpp
  // What waits: for the commit, the end of the first result, a resume, or live.poll.
  RecordQueue* held;
  Throttle* throttle;  // nullptr: its messages wait for no time
  // Its last message was sent, or waits for live.poll: it is no live query any more, and to be
  // removed once its client has that.
  bool over;
  bool replaced;                  // another one begins in its place in the running transaction
  std::string_view lost_because;  // why it is owed a reset (FlowControl), in static memory
  uint64_t shown;                 // the seq of what was polled last
  // Not in shared memory yet: what was taken out of the mailbox, what of it was sent or may be
  // polled, and what of `held` may not be polled yet.
  uint64_t taken_messages;
  uint64_t taken_bytes;
  DeliveredCounts delivered;
  DeliveredCounts waiting;
};

// Most of many subscriptions lie still at any time: nothing of them waits, and none is about to
// begin or to end. What happens with each delivery and each transaction looks at the others alone,
// those that stir. So whoever is to change one gets it by what follows, which has it stir; that is
// over when it has settled (deliver/settling.hpp).

// The subscription of that id that is neither leaving nor over, or nullptr.
LocalSubscription* FindLocal(const SubscriptionId& id);
// The same by serial, whatever its state.
LocalSubscription* FindLocal(uint64_t serial);
// Those of that id, whatever their state, the newest first: the one after `after`, or the first
// (nullptr).
LocalSubscription* NextOfId(const SubscriptionId& id, const LocalSubscription* after);
// Never ereports.
LocalSubscription* Stir(const LocalSubscription* subscription);
void LieStill(LocalSubscription* subscription);

// In no order. Valid until one is made; who removes some goes from the last one to the first.
std::span<const LocalSubscription* const> AllLocal();
std::span<LocalSubscription* const> Stirring();
inline bool AnyLocal() { return !AllLocal().empty(); }

// The consumers that they belong to.
IndexSet ConsumersOfLocal();
void SetConsumer(LocalSubscription* subscription, int consumer);

// One that is on no roll yet; Link follows, before there is another one.
LocalSubscription* MakeLocal(const SubscriptionId& id, Delivery delivery);
// Adds it. Never ereports.
void Link(LocalSubscription* subscription);
// Says that it is registered, under that serial.
void SetSerial(LocalSubscription* subscription, uint64_t serial);
// Removes it, here and in the registry, with all that is held for it. `kept`: see
// RemoveSubscription. Never ereports.
void Remove(LocalSubscription* subscription, bool kept);

// Puts a record behind what waits for it.
void KeepWaiting(LocalSubscription* subscription, const RecordView& record);

// Whether its client takes its result for one that is up to date: it has read the first result, and
// has not been told of a reset since.
bool IsShown(const LocalSubscription& subscription);

// Notes that what came for it, or is held, is lost: it is told that by the next delivery, unless it
// has more to tell until then.
void NoteLost(LocalSubscription* subscription, std::string_view because);

// Notes that for the subscriptions of a consumer that has ended, but for those that know already:
// the next one resets them too, but others may have to be told something before that.
void NoteEnded(int consumer);

}  // namespace live_queries
