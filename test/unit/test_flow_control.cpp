// Tests of model/flow_control.hpp: single transitions, and all short histories of a subscription
// against what a client must see.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>

#include "check.hpp"
#include "model/flow_control.hpp"

namespace live_queries {
namespace {

RecordHeader Header(RecordKind kind) {
  RecordHeader header;
  header.kind = kind;
  return header;
}

const RecordHeader kChanges = Header(RecordKind::kChanges);
const RecordHeader kReset = Header(RecordKind::kReset);
const RecordHeader kTerminated = Header(RecordKind::kTerminated);

// Committed, nothing to read: changes flow.
FlowControl Flowing() {
  FlowControl flow;
  flow.OnCommitted();
  return flow;
}

void StartSnapshot(FlowControl& flow) { CHECK(flow.OnSnapshotStarted() == HeldMessages::kDiscard); }

TEST(ChangesWaitForTheCommit) {
  FlowControl flow;
  CHECK(!flow.CanRelease());
  CHECK(flow.Decide(kChanges, false) == Verdict::kHold);
  flow.OnCommitted();
  CHECK(flow.CanRelease());
  CHECK(flow.Decide(kChanges, false) == Verdict::kDeliver);
}

TEST(ChangesWaitForTheSnapshotToBeRead) {
  FlowControl flow = Flowing();
  StartSnapshot(flow);
  CHECK(!flow.CanRelease());
  CHECK(flow.Decide(kChanges, true) == Verdict::kDrop);
  CHECK(flow.Decide(kChanges, false) == Verdict::kHold);
  flow.OnSnapshotRead();
  CHECK(flow.CanRelease());
  CHECK(flow.Decide(kChanges, true) == Verdict::kDrop);
  CHECK(flow.Decide(kChanges, false) == Verdict::kDeliver);
}

TEST(ChangesWaitAgainForASnapshotThatIsUnreadAgain) {
  FlowControl flow = Flowing();
  StartSnapshot(flow);
  CHECK(flow.IsWaiting());
  flow.OnSnapshotRead();
  CHECK(!flow.IsWaiting());
  CHECK(flow.Decide(kChanges, false) == Verdict::kDeliver);
  flow.OnSnapshotUnread();
  CHECK(flow.IsWaiting());
  CHECK(!flow.CanRelease());
  CHECK(flow.Decide(kChanges, true) == Verdict::kDrop);
  CHECK(flow.Decide(kChanges, false) == Verdict::kHold);
  flow.OnSnapshotRead();
  CHECK(flow.CanRelease());
}

TEST(ASnapshotThatIsUnreadAgainMendsNothing) {
  FlowControl flow = Flowing();
  StartSnapshot(flow);
  flow.OnSnapshotRead();
  CHECK(flow.Decide(kReset, false) == Verdict::kDeliverAlone);
  flow.OnSnapshotUnread();
  CHECK(flow.broken());
  CHECK(flow.Decide(kChanges, false) == Verdict::kDrop);
  CHECK(flow.Decide(kReset, false) == Verdict::kDrop);
  CHECK(flow.Decide(kTerminated, false) == Verdict::kDeliverAlone);
}

TEST(ChangesWaitForTheResume) {
  FlowControl flow = Flowing();
  flow.OnPause();
  CHECK(flow.status() == SubscriptionStatus::kPaused);
  CHECK(!flow.CanRelease());
  CHECK(flow.Decide(kChanges, false) == Verdict::kHold);
  flow.OnResume();
  CHECK(flow.status() == SubscriptionStatus::kActive);
  CHECK(flow.CanRelease());
}

TEST(ResetDropsAllUntilTheRefresh) {
  FlowControl flow = Flowing();
  CHECK(flow.Decide(kReset, false) == Verdict::kDeliverAlone);
  CHECK(flow.broken());
  CHECK(flow.Decide(kChanges, false) == Verdict::kDrop);
  CHECK(flow.Decide(kReset, false) == Verdict::kDrop);
  StartSnapshot(flow);
  CHECK(!flow.broken());
  CHECK(flow.Decide(kChanges, false) == Verdict::kHold);
}

TEST(ResetOfWhatTheSnapshotShowsIsDropped) {
  FlowControl flow = Flowing();
  CHECK(flow.Decide(kReset, true) == Verdict::kDrop);
  CHECK(!flow.broken());
}

TEST(ResetWhilePausedIsHeldOnce) {
  FlowControl flow = Flowing();
  flow.OnPause();
  CHECK(flow.Decide(kChanges, false) == Verdict::kHold);
  CHECK(flow.Decide(kReset, false) == Verdict::kHoldAlone);
  CHECK(flow.Decide(kReset, false) == Verdict::kDrop);
  CHECK(flow.Decide(kChanges, false) == Verdict::kDrop);
  flow.OnResume();
  CHECK(flow.CanRelease());
  CHECK(flow.Decide(kChanges, false) == Verdict::kDrop);
}

TEST(ResetWhileTheSnapshotIsUnreadIsHeld) {
  FlowControl flow = Flowing();
  StartSnapshot(flow);
  CHECK(flow.Decide(kReset, false) == Verdict::kHoldAlone);
  CHECK(!flow.CanRelease());
  flow.OnSnapshotRead();
  CHECK(flow.CanRelease());
}

TEST(HeldOverflowBecomesAReset) {
  FlowControl flow = Flowing();
  flow.OnPause();
  CHECK(flow.Decide(kChanges, false) == Verdict::kHold);
  CHECK(flow.OnHeldOverflow() == Verdict::kHoldAlone);
  CHECK(flow.broken());
  CHECK(flow.OnHeldOverflow() == Verdict::kDrop);
  CHECK(flow.Decide(kChanges, false) == Verdict::kDrop);
}

TEST(TerminationIsDeliveredAtOnceAndLast) {
  for (int state = 0; state < 8; ++state) {
    FlowControl flow = Flowing();
    if (state & 1) StartSnapshot(flow);
    if (state & 2) flow.OnPause();
    if (state & 4) CHECK(flow.Decide(kReset, false) != Verdict::kDrop);
    CHECK(flow.Decide(kTerminated, state % 2 == 0) == Verdict::kDeliverAlone);
    CHECK(flow.status() == SubscriptionStatus::kTerminated);
    for (const RecordHeader& record : {kChanges, kReset, kTerminated})
      CHECK(flow.Decide(record, false) == Verdict::kDrop);
    CHECK(flow.OnHeldOverflow() == Verdict::kDrop);
    flow.OnSnapshotRead();
    flow.OnResume();
    CHECK(!flow.CanRelease());
  }
}

TEST(TerminationWaitsForTheCommitOnly) {
  FlowControl flow;
  StartSnapshot(flow);
  flow.OnPause();
  CHECK(flow.Decide(kTerminated, false) == Verdict::kHoldAlone);
  CHECK(!flow.CanRelease());
  CHECK(flow.OnSnapshotStarted() == HeldMessages::kKeep);
  flow.OnCommitted();
  CHECK(flow.CanRelease());
}

TEST(WhatWasNotToldIsDecidedAgain) {
  FlowControl flow = Flowing();
  CHECK(flow.Decide(kReset, false) == Verdict::kDeliverAlone);
  flow.OnUntold();
  CHECK(!flow.broken());
  CHECK(flow.Decide(kReset, false) == Verdict::kDeliverAlone);
  CHECK(flow.Decide(kTerminated, false) == Verdict::kDeliverAlone);
  flow.OnUntold();
  CHECK(flow.status() == SubscriptionStatus::kActive);
  CHECK(flow.Decide(kTerminated, false) == Verdict::kDeliverAlone);
}

TEST(WhoLeavesIsToldNothing) {
  FlowControl flow = Flowing();
  flow.OnLeave();
  CHECK(flow.leaving());
  CHECK(!flow.CanRelease());
  CHECK(flow.Decide(kChanges, true) == Verdict::kDrop);
  CHECK(flow.Decide(kChanges, false) == Verdict::kHold);
  flow.OnStay();
  CHECK(!flow.leaving());
  CHECK(!flow.IsOwedAReset());
  CHECK(flow.CanRelease());
  CHECK(flow.Decide(kChanges, false) == Verdict::kDeliver);
}

TEST(WhoLeavesAndStaysIsToldWhatCame) {
  for (const RecordHeader& came : {kReset, kTerminated}) {
    for (const RecordHeader& told : {kReset, kTerminated}) {
      FlowControl flow = Flowing();
      flow.OnLeave();
      CHECK(flow.Decide(came, false) == Verdict::kDrop);
      CHECK(!flow.broken());
      CHECK(flow.status() == SubscriptionStatus::kActive);
      CHECK(flow.Decide(kChanges, false) == Verdict::kDrop);
      CHECK(!flow.IsOwedAReset());
      flow.OnStay();
      CHECK(flow.IsOwedAReset());
      CHECK(flow.Decide(kChanges, false) == Verdict::kDrop);
      CHECK(flow.Decide(told, false) == Verdict::kDeliverAlone);
      CHECK(!flow.IsOwedAReset());
      CHECK_EQ(flow.broken(), told.kind == RecordKind::kReset);
    }
  }
}

TEST(WhoLeavesBrokenIsToldOnlyOfItsEnd) {
  FlowControl flow = Flowing();
  CHECK(flow.Decide(kReset, false) == Verdict::kDeliverAlone);
  flow.OnLeave();
  CHECK(flow.Decide(kChanges, false) == Verdict::kDrop);
  CHECK(flow.Decide(kTerminated, false) == Verdict::kDrop);
  flow.OnStay();
  CHECK(flow.IsOwedAReset());
  CHECK(flow.Decide(kReset, false) == Verdict::kDrop);
  CHECK(!flow.IsOwedAReset());
}

TEST(WhatOverflowsWhileLeavingIsOwed) {
  FlowControl flow = Flowing();
  flow.OnLeave();
  CHECK(flow.Decide(kChanges, false) == Verdict::kHold);
  CHECK(flow.OnHeldOverflow() == Verdict::kDrop);
  CHECK(!flow.broken());
  flow.OnStay();
  CHECK(flow.IsOwedAReset());
}

TEST(WhatWasNotToldBeforeLeavingIsOwed) {
  for (const RecordHeader& untold : {kReset, kTerminated}) {
    FlowControl flow = Flowing();
    CHECK(flow.Decide(untold, false) == Verdict::kDeliverAlone);
    flow.OnLeave();
    flow.OnUntold();
    flow.OnStay();
    CHECK(flow.IsOwedAReset());
    CHECK(!flow.broken());
    CHECK(flow.status() == SubscriptionStatus::kActive);
  }
}

TEST(HeldBudgetIsNeverExceeded) {
  HeldBudget budget{100, 60};
  CHECK(!budget.Admits(41));
  CHECK(!budget.Admits(SIZE_MAX));
  CHECK(budget.Admits(40));
  budget.bytes = 100;
  CHECK(!budget.Admits(1));
  CHECK(budget.Admits(0));
  budget.limit = 50;  // lowered while more is held
  CHECK(!budget.Admits(0));
  CHECK(!HeldBudget{}.Admits(1));
}

TEST(SeqNeverDecreases) {
  Point point;
  CHECK_EQ(point.last().value, uint64_t{0});
  CHECK_EQ(point.Stamp(SeqId{5}).value, uint64_t{5});
  CHECK_EQ(point.Stamp(SeqId{3}).value, uint64_t{5});
  CHECK_EQ(point.Stamp(SeqId{9}).value, uint64_t{9});
  CHECK_EQ(point.Stamp(SeqId{9}).value, uint64_t{9});
  point.Reach(SeqId{7});
  CHECK_EQ(point.last().value, uint64_t{9});
  point.Reach(SeqId{11});
  CHECK_EQ(point.Stamp(SeqId{10}).value, uint64_t{11});
}

TEST(APointGoesOnUpToWhatIsShown) {
  const auto at = [](uint64_t seq, uint64_t group) {
    RecordHeader header = kChanges;
    header.seq = seq;
    header.group = group;
    return header;
  };
  Point point;
  CHECK(point.IsFollowedBy(at(5, 1), at(5, 1)));
  CHECK(point.IsFollowedBy(at(5, 1), at(5, 2)));  // of another lane
  CHECK(point.IsFollowedBy(at(5, 1), at(6, 1)));
  CHECK(!point.IsFollowedBy(at(5, 1), at(6, 2)));
  point.Reach(SeqId{8});  // a first result was read
  CHECK(point.IsFollowedBy(at(5, 1), at(6, 2)));
  CHECK(point.IsFollowedBy(at(6, 2), at(8, 3)));
  CHECK(!point.IsFollowedBy(at(8, 3), at(9, 4)));
  CHECK(point.IsFollowedBy(at(9, 4), at(9, 4)));
}

TEST(APointBeginsWithItsFirstMessage) {
  Point point;
  CHECK_EQ(point.begun().value, uint64_t{0});
  (void)point.Stamp(SeqId{5});
  point.Continue(true);
  CHECK_EQ(point.begun().value, uint64_t{5});
  point.Reach(SeqId{8});
  (void)point.Stamp(SeqId{6});
  point.Continue(true);
  CHECK_EQ(point.begun().value, uint64_t{5});
  (void)point.Stamp(SeqId{7});
  point.Continue(false);
  CHECK_EQ(point.begun().value, uint64_t{0});
}

TEST(WhatIsLostIsOwed) {
  FlowControl flow = Flowing();
  flow.OnLost();
  CHECK(flow.IsOwedAReset());
  CHECK(flow.Decide(kChanges, false) == Verdict::kDrop);
  CHECK(flow.Decide(kReset, false) == Verdict::kDeliverAlone);
  CHECK(!flow.IsOwedAReset());
}

TEST(AnEndThatIsHeldIsReleased) {
  FlowControl flow = Flowing();
  CHECK(flow.Decide(kTerminated, false) == Verdict::kDeliverAlone);
  CHECK(!flow.CanRelease());
  flow.OnTellingHeld();
  CHECK(flow.CanRelease());
}

// A subscription's history, event by event: the decoder fills a mailbox, the backend (a caller of
// FlowControl that obeys the verdicts blindly) empties it, and a client applies what it is told.
//
// The reference is the client: changes are numbered, the result's state is the number of the last
// one, and a snapshot or message that does not lead exactly to the next state is an error. After
// each turn of the backend a client that nothing stands in the way of must either have the current
// state or have been told that it has not.
class World {
 public:
  enum Event : uint8_t {
    kCommit,           // of the subscribing transaction
    kStartSnapshot,    // subscribe's, or refresh
    kReadSnapshot,     // to its end
    kReadUncommitted,  // the same, in a transaction that goes on
    kUnreadSnapshot,   // it rolls back: what was told since the read is taken back
    kPauseIt,
    kResumeIt,
    kLeave,            // in a transaction that goes on
    kStay,             // it rolls back
    kChange,           // a transaction changes the result
    kMailboxOverflow,  // all in the mailbox but a termination gives way to a reset
    kKill,
    kTurn,  // the backend releases what it can and empties the mailbox
    kEventCount,
  };

  // Whether the backend knows of a reset that all it stands for is visible in the snapshot. If not,
  // the client is told once too often, which is allowed.
  explicit World(bool knows_stale_resets) : knows_stale_resets_(knows_stale_resets) {}

  void Apply(Event event) {
    switch (event) {
      case kCommit:
        committed_ = true;
        flow_.OnCommitted();
        break;
      case kStartSnapshot:
        if (killed_ || leaving_) break;  // the SQL function reports an error
        told_uncommitted_.Clear();
        read_uncommitted_ = false;
        if (flow_.OnSnapshotStarted() == HeldMessages::kDiscard) DiscardHeld();
        snapshot_state_ = state_;
        reading_ = true;
        client_knows_state_ = false;
        told_of_reset_ = false;
        break;
      case kReadSnapshot:
        read_uncommitted_ = false;
        told_uncommitted_.Clear();
        ReadSnapshot();
        break;
      case kReadUncommitted:
        read_uncommitted_ = read_uncommitted_ || reading_;
        ReadSnapshot();
        break;
      case kUnreadSnapshot:
        if (read_uncommitted_ && !client_is_over_) UnreadSnapshot();  // else it is forgotten
        break;
      case kPauseIt:
        paused_ = true;
        flow_.OnPause();
        break;
      case kResumeIt:
        paused_ = false;
        flow_.OnResume();
        break;
      case kLeave:
        leaving_ = true;
        flow_.OnLeave();
        break;
      case kStay:
        leaving_ = false;
        flow_.OnStay();
        break;
      case kChange:
        Mail({RecordKind::kChanges, ++state_});
        break;
      case kMailboxOverflow:
        mailbox_.Clear();
        Mail({RecordKind::kReset, state_});
        if (killed_ && !client_is_over_) Mail({RecordKind::kTerminated, state_});
        break;
      case kKill:
        killed_ = true;
        Mail({RecordKind::kTerminated, state_});
        break;
      case kTurn:
        TakeTurn();
        break;
      case kEventCount:
        break;
    }
  }

  const char* error() const { return error_; }

 private:
  static constexpr size_t kHeldLimit = 2;

  struct Record {
    RecordKind kind;
    uint64_t state;  // the result's, after it
  };

  struct Queue {
    std::array<Record, 64> records;
    size_t size = 0;

    void Push(Record record) {
      if (size < records.size()) records[size++] = record;
    }
    void Clear() { size = 0; }
  };

  void Mail(Record record) {
    if (mailbox_.size == mailbox_.records.size()) return Error("the test's mailbox is too small");
    mailbox_.Push(record);
  }

  void ReadSnapshot() {
    if (!reading_) return;
    flow_.OnSnapshotRead();
    reading_ = false;
    client_knows_state_ = true;
    client_state_ = snapshot_state_;
  }

  // What the client has got since is given back, but for the termination.
  void UnreadSnapshot() {
    read_uncommitted_ = false;
    flow_.OnSnapshotUnread();
    reading_ = true;
    client_knows_state_ = false;
    told_of_reset_ = false;
    if (told_uncommitted_.size == 0) return;
    const Queue newer = held_;
    DiscardHeld();
    for (const Queue& queue : {told_uncommitted_, newer})
      for (size_t i = 0; i < queue.size; ++i) HoldAgain(queue.records[i]);
    told_uncommitted_.Clear();
  }

  void HoldAgain(Record record) {
    if (!flow_.broken()) return Obey(Verdict::kHold, record);
    if (record.kind == RecordKind::kReset) Obey(Verdict::kHoldAlone, record);
  }

  void TakeTurn() {
    if (flow_.IsOwedAReset()) {
      const Record owed = {killed_ ? RecordKind::kTerminated : RecordKind::kReset, state_};
      Obey(flow_.Decide(killed_ ? kTerminated : kReset, false), owed);
    }
    if (flow_.CanRelease()) {
      for (size_t i = 0; i < held_.size; ++i) Deliver(held_.records[i]);
      DiscardHeld();
    }
    for (size_t i = 0; i < mailbox_.size; ++i) {
      const Record record = mailbox_.records[i];
      RecordHeader header;
      header.kind = record.kind;
      header.seq = record.state;
      const bool visible = record.state <= snapshot_state_ &&
                           (record.kind == RecordKind::kChanges || knows_stale_resets_);
      Obey(flow_.Decide(header, visible), record);
    }
    mailbox_.Clear();
    CheckQuiet();
  }

  void Obey(Verdict verdict, Record record) {
    switch (verdict) {
      case Verdict::kDeliver:
        if (held_.size > 0) Error("overtakes a held message");
        Deliver(record);
        break;
      case Verdict::kHold:
        if (!HeldBudget{kHeldLimit, held_.size}.Admits(1)) {
          const Verdict overflow = flow_.OnHeldOverflow();
          if (overflow != (leaving_ ? Verdict::kDrop : Verdict::kHoldAlone))
            Error("overflow is not held alone");
          Obey(overflow, {RecordKind::kReset, record.state});
          break;
        }
        held_.Push(record);
        break;
      case Verdict::kDrop:
        break;
      case Verdict::kDeliverAlone:
        DiscardHeld();
        Deliver(record);
        break;
      case Verdict::kHoldAlone:
        DiscardHeld();
        held_.Push(record);
        break;
    }
    if (held_.size > kHeldLimit) Error("holds too much");
  }

  void DiscardHeld() { held_.Clear(); }

  // What the client makes of a message.
  void Deliver(Record record) {
    if (!committed_) Error("delivered before the commit");
    if (client_is_over_) Error("delivered after the termination");
    if (record.kind == RecordKind::kTerminated) {
      client_is_over_ = true;
      return;
    }
    if (leaving_) Error("delivered after it left");
    if (paused_) Error("delivered while paused");
    if (reading_) Error("delivered before the snapshot was read");
    if (told_of_reset_) Error("delivered after a reset");
    if (read_uncommitted_) told_uncommitted_.Push(record);
    if (record.kind == RecordKind::kReset) {
      told_of_reset_ = true;
      return;
    }
    if (!client_knows_state_) Error("changes without a snapshot to apply them to");
    if (record.state != client_state_ + 1) Error("a change is missing or comes twice");
    client_state_ = record.state;
  }

  // After a turn of the backend.
  void CheckQuiet() {
    if (leaving_) return;
    if (committed_ && client_is_over_ != killed_) Error("the client does not know it is over");
    if (killed_ || !committed_ || paused_ || reading_) return;
    const bool current = client_knows_state_ && client_state_ == state_;
    if (!current && !told_of_reset_) Error("the client lost changes silently");
    if (held_.size > 0) Error("messages are stuck");
  }

  void Error(const char* error) {
    if (error_ == nullptr) error_ = error;
  }

  bool knows_stale_resets_;
  FlowControl flow_;
  Queue mailbox_;
  Queue held_;
  uint64_t state_ = 0;
  uint64_t snapshot_state_ = 0;
  bool committed_ = false;
  bool paused_ = false;
  bool leaving_ = false;
  bool killed_ = false;
  bool reading_ = false;
  bool read_uncommitted_ = false;
  Queue told_uncommitted_;

  // The client. It begins without snapshot ("snapshot" => false) and in step.
  bool client_knows_state_ = true;
  bool told_of_reset_ = false;
  bool client_is_over_ = false;
  uint64_t client_state_ = 0;

  const char* error_ = nullptr;
};

constexpr std::array<const char*, World::kEventCount> kEventNames = {
    "commit", "start snapshot", "read snapshot", "read uncommitted", "unread snapshot",  "pause",
    "resume", "leave",          "stay",          "change",           "mailbox overflow", "kill",
    "turn"};

template <class Events>
void Report(const char* error, const Events& events, size_t count) {
  std::string history = error;
  for (size_t i = 0; i < count; ++i)
    history += std::string(i == 0 ? ": " : ", ") + kEventNames[events[i]];
  check::Fail(__FILE__, __LINE__, history);
}

// Every history of up to `kDepth` events. Each is closed by two turns, resumed and read in between.
class Exhaustive {
 public:
  void Explore(const World& world, size_t depth) {
    for (uint8_t event = 0; event < World::kEventCount && check::failures < 10; ++event) {
      // Two turns in a row are one.
      if (event == World::kTurn && depth > 0 && events_[depth - 1] == World::kTurn) continue;
      events_[depth] = event;
      World next = world;
      next.Apply(static_cast<World::Event>(event));
      if (next.error() == nullptr && depth + 1 < kDepth) {
        Explore(next, depth + 1);
        continue;
      }
      Close(next);
      ++histories_;
      if (next.error() != nullptr) Report(next.error(), events_, depth + 1);
    }
  }

  static void Close(World& world) {
    using enum World::Event;
    for (const World::Event event :
         {kTurn, kCommit, kResumeIt, kStay, kTurn, kReadSnapshot, kChange, kTurn})
      world.Apply(event);
  }

  uint64_t histories() const { return histories_; }

 private:
#ifdef LIVE_QUERIES_SHORT_TESTS
  static constexpr size_t kDepth = 5;
#else
  static constexpr size_t kDepth = 6;
#endif
  std::array<uint8_t, kDepth> events_{};
  uint64_t histories_ = 0;
};

TEST(AllShortHistoriesAreSeenRightByTheClient) {
  Exhaustive exhaustive;
  for (const bool knows_stale_resets : {false, true})
    exhaustive.Explore(World(knows_stale_resets), 0);
  CHECK(exhaustive.histories() > 50000);
}

TEST(LongHistoriesAreSeenRightByTheClient) {
  std::mt19937 random(7);
  for (int i = 0; i < 20000 && check::failures < 10; ++i) {
    World world(i % 2 == 0);
    std::array<uint8_t, 60> events;
    size_t count = 0;
    while (count < events.size() && world.error() == nullptr) {
      // Kills and overflows are rare, so that histories stay alive; changes and turns are frequent.
      using enum World::Event;
      constexpr std::array<uint8_t, 21> kMix = {
          kLeave,         kStay,         kStay,         kCommit,       kStartSnapshot,
          kStartSnapshot, kReadSnapshot, kReadSnapshot, kReadSnapshot, kPauseIt,
          kResumeIt,      kResumeIt,     kChange,       kChange,       kChange,
          kTurn,          kTurn,         kTurn,         kTurn,         kReadUncommitted,
          kUnreadSnapshot};
      uint8_t event = kMix[random() % kMix.size()];
      if (random() % 20 == 0) event = World::kMailboxOverflow;
      if (random() % 200 == 0) event = World::kKill;
      events[count++] = event;
      world.Apply(static_cast<World::Event>(event));
    }
    if (world.error() == nullptr) Exhaustive::Close(world);
    if (world.error() != nullptr) Report(world.error(), events, count);
  }
}

}  // namespace
}  // namespace live_queries
