// Two latches, and the snapshot that the leader publishes for first results. Process: evaluator,
// refresher.
#include "worker/leader.hpp"

#include "registry/consumer.hpp"
#include "registry/database.hpp"
#include "worker/consumer_process.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

constexpr int kPatienceMs = 30 * 1000;

TimestampTz missing_since = 0;  // since when the leader does not run; 0: it does, or did

ConsumerShared* Leader() { return &DatabaseOfMine()->consumers[LeaderOf(MyConsumer()->index)]; }

// It publishes S1 a moment before its position, by which all up to there is in the mailboxes.
std::optional<PositionSnapshot> TakeIfTold(ConsumerShared* leader,
                                           const PublishedMoment& at_least) {
  const uint64_t told = leader->position.Load();
  if (told < at_least.position) return std::nullopt;
  const std::optional<RegisteredSnapshot> registered =
      RegisterPublishedSnapshot(&leader->snapshot, at_least);
  if (!registered) return std::nullopt;
  const PublishedMoment& moment = registered->moment;
  const PositionSnapshot taken = {registered->snapshot, moment.position, moment.clock};
  if (taken.position <= told) return taken;
  Release(taken);
  return std::nullopt;
}

}  // namespace

bool FollowsLeader() { return MyConsumer()->kind == ConsumerKind::kRefresher; }

std::optional<PositionSnapshot> TakeFromLeader(const PublishedMoment& at_least) {
  ConsumerShared* leader = Leader();
  const std::optional<PositionSnapshot> taken = TakeIfTold(leader, at_least);
  if (taken)
    missing_since = 0;
  else
    WakeConsumer(*leader);
  return taken;
}

bool LeaderHasPassed(XLogRecPtr position) { return Leader()->position.Load() > position; }

bool LeaderHasNewer(const PositionSnapshot& held) {
  const std::optional<PublishedMoment> moment = MomentOfPublished(&Leader()->snapshot);
  return moment && PublishedMoment{held.position, held.clock} < *moment;
}

void RequireLeader() {
  const TimestampTz now = GetCurrentTimestamp();
  if (Leader()->state.Load() == ConsumerState::kRunning)
    missing_since = 0;
  else if (missing_since == 0)
    missing_since = now;
  else if (TimestampDifferenceExceeds(missing_since, now, kPatienceMs))
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("the evaluator that a refresher of live_queries follows does not run"),
            errhint("SELECT * FROM live.workers shows why."));
}

void WakeFollower(XLogRecPtr position) {
  static XLogRecPtr told = InvalidXLogRecPtr;
  if (FollowsLeader() || position == told) return;
  told = position;
  WakeConsumer(DatabaseOfMine()->consumers[RefresherOf(MyConsumer()->index)]);
}

}  // namespace live_queries
