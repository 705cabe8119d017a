// What a client backend does with the records of one subscription.
//
// Owns: the decision to deliver, hold or drop a record, from the state of the subscription; and the
// two small things around it, HeldBudget and Point. Used by the delivery in the client
// backend, one FlowControl a subscription, one Point and one HeldBudget a connection. Pure:
// holds no message and no memory; the held messages are the caller's.
//
//                              changes visible in
//   state                      the snapshot       changes    reset          terminated
//   terminated                 drop               drop       drop           drop
//   leaving                    drop               hold       drop (o)       drop (o)
//     and broken               drop               drop       drop (o)       drop (o)
//   owed a reset               drop               drop       as below (p)   as below (p)
//   broken (a reset was sent   drop               drop       drop           as below
//     or is held)
//   not committed              drop               hold       hold alone (b) hold alone (t)
//   snapshot unread or paused  drop               hold       hold alone (b) deliver alone (t)
//   else                       drop               deliver    deliver alone  deliver alone (t)
//                                                            (b)
//   (b) the subscription is broken from here on, until OnSnapshotStarted; (t) it is terminated;
//   (o) it is owed a reset, as whoever leaves need not be told of one, unless that is rolled back
//       (OnLost, for what is lost otherwise, owes one too);
//   (p) and with this one it has what it was owed.
//
// Leaving lasts from OnLeave, in the transaction that unsubscribes, to OnStay, if that is rolled
// back. One that stays and is owed a reset gets one from its caller: IsOwedAReset.
//
// The caller's loop: first, for each subscription with CanRelease(), deliver what is held, oldest
// first; then take records from the mailbox and obey Decide(). A change is thus never delivered
// before an older one of the same subscription.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "model/mailbox_record.hpp"
#include "model/seq_id.hpp"
#include "model/subscription_status.hpp"

namespace live_queries {

// What to do with a record. "Alone" means: first throw away all that is held for the subscription.
enum class Verdict : uint8_t {
  kDeliver,       // send it now
  kHold,          // append it to the held ones, if HeldBudget admits it; else see OnHeldOverflow
  kDrop,          // forget it
  kDeliverAlone,  // throw away the held ones, send this
  kHoldAlone,     // throw away the held ones, hold this; no budget needed, it is one and small
};

// What to do with the messages held for a subscription.
enum class HeldMessages : uint8_t { kKeep, kDiscard };

// Reason of the reset after Verdict::kHold without room.
inline constexpr std::string_view kHeldOverflowReason =
    "too many changes while the subscription was paused or its snapshot unread";

// The same where changes waited for the time of a throttled subscription.
inline constexpr std::string_view kThrottledOverflowReason =
    "too many changes came between two messages of a throttled subscription";

class FlowControl {
 public:
  // A new subscription: not committed, no snapshot to read (until OnSnapshotStarted).
  constexpr FlowControl() = default;

  // The verdict on the next record of this subscription from the mailbox. `visible_in_snapshot`:
  // whether the record's transaction is visible in the latest snapshot, so that the client knows
  // its changes already. For a reset pass true only if all that it stands for is known to be
  // visible, otherwise false; for a termination it is ignored.
  [[nodiscard]] constexpr Verdict Decide(const RecordHeader& record, bool visible_in_snapshot) {
    if (terminated_) return Verdict::kDrop;
    if (record.kind == RecordKind::kChanges) {
      if (visible_in_snapshot || broken_ || owed_) return Verdict::kDrop;
      return IsFlowing() ? Verdict::kDeliver : Verdict::kHold;
    }
    owed_ = leaving_;
    if (leaving_) return Verdict::kDrop;
    if (record.kind == RecordKind::kTerminated) return Terminate();
    return visible_in_snapshot || broken_ ? Verdict::kDrop : Break();
  }

  // After Verdict::kHold, where the budget did not admit the record: it is lost, and with it all
  // that is held. The verdict, kHoldAlone, is on a new reset with kHeldOverflowReason.
  [[nodiscard]] constexpr Verdict OnHeldOverflow() {
    if (terminated_ || broken_) return Verdict::kDrop;
    if (!leaving_) return Break();
    owed_ = true;
    return Verdict::kDrop;
  }

  // The subscribing transaction has committed.
  constexpr void OnCommitted() { committed_ = true; }
  constexpr bool committed() const { return committed_; }

  // A snapshot was taken, by subscribe or refresh, and is to be read. Held messages are older than
  // it, hence visible in it: a transaction is decoded only when new snapshots see it. To be called
  // with no record taken from the mailbox since the snapshot was. Mends what is broken.
  [[nodiscard]] constexpr HeldMessages OnSnapshotStarted() {
    if (terminated_) return HeldMessages::kKeep;  // perhaps the termination itself
    unread_ = true;
    broken_ = false;
    return HeldMessages::kDiscard;
  }

  // The client has read the snapshot to its end.
  constexpr void OnSnapshotRead() { unread_ = false; }

  // That was rolled back: messages wait for its end again. Those that went out since OnSnapshotRead
  // have to be taken back, and held.
  constexpr void OnSnapshotUnread() { unread_ = true; }

  // The last reset or termination, which was to be delivered, was not: it will be decided anew.
  constexpr void OnUntold() {
    broken_ = terminated_ = termination_held_ = false;
    owed_ = owed_ || leaving_;
  }

  // The last reset or termination, which was to be delivered, is held, behind what is to be
  // delivered before it.
  constexpr void OnTellingHeld() { termination_held_ = true; }

  // What came for it, or is held, is lost. It is owed a reset.
  constexpr void OnLost() { owed_ = true; }

  // It ends with the running transaction; or that was rolled back.
  constexpr void OnLeave() { leaving_ = true; }
  constexpr void OnStay() { leaving_ = false; }
  constexpr bool leaving() const { return leaving_; }

  // Whether it is to be told now what came while it was leaving, or that something is lost: by a
  // reset, or that it is over.
  constexpr bool IsOwedAReset() const { return owed_ && !leaving_ && !terminated_; }

  constexpr void OnPause() { paused_ = true; }
  constexpr void OnResume() { paused_ = false; }
  // As the client has asked for, also of one that is over.
  constexpr bool paused() const { return paused_; }

  // Whether messages wait for the client: to read the snapshot, or to resume.
  constexpr bool IsWaiting() const { return unread_ || paused_; }

  // Whether held messages are to be delivered now.
  constexpr bool CanRelease() const {
    if (leaving_) return false;
    if (terminated_) return committed_ && termination_held_;
    return IsFlowing();
  }

  // Whether its client is told of changes, or that there will be none.
  constexpr bool IsFlowing() const { return committed_ && !leaving_ && !IsWaiting(); }

  constexpr SubscriptionStatus status() const {
    if (terminated_) return SubscriptionStatus::kTerminated;
    return paused_ ? SubscriptionStatus::kPaused : SubscriptionStatus::kActive;
  }

  // A reset was delivered or is held, and the client has not refreshed since.
  constexpr bool broken() const { return broken_; }

  // The snapshot is to be read.
  constexpr bool unread() const { return unread_; }

  // Whether the client has, or with what is held will have, what its query gives: changes reach it,
  // and none is lost.
  constexpr bool IsIntact() const { return !(broken_ || terminated_ || owed_); }

 private:
  constexpr Verdict Break() {
    broken_ = true;
    return IsFlowing() ? Verdict::kDeliverAlone : Verdict::kHoldAlone;
  }

  // A client learns at once that its subscription is over, whatever it was waiting for; but not of
  // a subscription that may yet be rolled back.
  constexpr Verdict Terminate() {
    terminated_ = true;
    termination_held_ = !committed_;
    return committed_ ? Verdict::kDeliverAlone : Verdict::kHoldAlone;
  }

  bool committed_ = false;
  bool unread_ = false;  // the snapshot: messages wait for its end
  bool paused_ = false;
  bool broken_ = false;
  bool terminated_ = false;
  bool termination_held_ = false;  // the termination waits: for the commit, or behind others
  bool leaving_ = false;
  bool owed_ = false;  // a reset: changes are lost, and it does not know
};

static_assert(std::is_trivially_copyable_v<FlowControl>);
static_assert(std::is_standard_layout_v<FlowControl>);

// The room for held messages of one connection.
struct HeldBudget {
  size_t limit = 0;
  size_t bytes = 0;  // held now

  // Whether `n` more bytes fit.
  constexpr bool Admits(size_t n) const { return bytes <= limit && n <= limit - bytes; }
};

// The point that a connection shows: what its messages say as `seq`, which never decreases, and
// whether `more` of the same point follows. deliver/README.md says why this is enough.
//
// A live query whose first result has been read shows the position of that, so the point is there:
// what came before it, of other live queries, is told as a part of it. Messages are to come in the
// order of their own seq; those that were held are older than the point, and parts of it.
class Point {
 public:
  // A live query that is told of changes from now on shows this position.
  constexpr void Reach(SeqId shown) {
    if (last_ < shown) last_ = shown;
  }

  // A message is sent: returns the seq that it carries.
  constexpr SeqId Stamp(SeqId record_seq) {
    Reach(record_seq);
    return last_;
  }

  // Whether `next` belongs to the point that `message`, still to be stamped, belongs to.
  constexpr bool IsFollowedBy(const RecordHeader& message, const RecordHeader& next) const {
    return next.seq <= last_.value || next.seq <= message.seq || AreOfOneGroup(message, next);
  }

  // That message was sent, and `more` of its point is to come.
  constexpr void Continue(bool more) {
    if (!more)
      begun_ = SeqId{0};
    else if (begun_.value == 0)
      begun_ = last_;
  }

  constexpr SeqId last() const { return last_; }
  // What the first message of a point carried that is not complete; 0: the last point is.
  constexpr SeqId begun() const { return begun_; }

 private:
  SeqId last_{0};
  SeqId begun_{0};
};

}  // namespace live_queries
