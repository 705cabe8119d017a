// A refresher and the evaluator that it follows, its leader: whose snapshots it takes over, so that
// its batches end where some of the leader's do, and a connection that has live queries of both
// shows one point in time. It is never ahead of what the leader has told. Process: evaluator,
// refresher.
#pragma once

#include <optional>

#include "evaluate/position_snapshot.hpp"
#include "registry/published_snapshot.hpp"

namespace live_queries {

// ----- in a refresher -----

// Whether this process is one.
bool FollowsLeader();

// The leader's S1, registered, if it is of the moment `at_least` or a later one, and told of. If
// not, the leader is woken, and wakes this process once its position has moved.
std::optional<PositionSnapshot> TakeFromLeader(const PublishedMoment& at_least);

// Whether the leader has told of more than `position`, or has published what is newer than `held`.
bool LeaderHasPassed(XLogRecPtr position);
bool LeaderHasNewer(const PositionSnapshot& held);

// Raises an error if the leader has not run for long: what this process holds keeps dead rows, and
// whose live queries it has are better told so.
void RequireLeader();

// ----- in an evaluator -----

// Up to here all is told, and S1 is published.
void WakeFollower(XLogRecPtr position);

}  // namespace live_queries
