// What waits for the time of a throttled subscription: its changes are gathered, and told as one
// message at least so long after the one before (README.md, "Throttle"). Called by dispatch.cpp.
// Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "deliver/net_changes.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Throttles a new subscription: `interval_ms` between two messages. May ereport.
void BeginThrottle(LocalSubscription* subscription, int64 interval_ms);
// How old rows are told. Before anything is gathered.
void SetOldRows(LocalSubscription* subscription, OldRows old_rows);
// In milliseconds; 0: it is not throttled.
int64 ThrottleOf(const LocalSubscription& subscription);
// When it is removed. Never ereports.
void EndThrottle(LocalSubscription* subscription);

// Keeps changes of it until its time has come. An error has kept nothing.
void Gather(LocalSubscription* subscription, const RecordView& record);
// Makes room by what was gathered: it becomes what it comes to, unless that was done so lately that
// the work would not be worth it. An error leaves it as it was.
void ShrinkGathered(LocalSubscription* subscription);
// The position of the oldest changes that were gathered; UINT64_MAX: there are none. Never
// ereports.
uint64_t GatheredFrom(const LocalSubscription& subscription);
// Throws away what was gathered, if it is throttled at all. Never ereports.
void ForgetGathered(LocalSubscription* subscription);
// Changes of it were sent.
void NoteTold(const LocalSubscription& subscription);

// Puts what was gathered of those that are notified whose time has come, and that wait for nothing
// else, behind what they hold: as one message of each, of one position for all, which is returned
// (0: there is none). All records up to there have been taken. An error leaves all as it was.
uint64_t ReleaseToNotify();

// What a live.poll tells of a subscription.
struct TellsOf {
  bool mine;      // anything that it has
  uint64_t at;    // the position that it shows by what waits; 0: nothing does
  uint64_t part;  // or by a part that was told of a point that goes on; 0: none was
};

// The same for those that are polled, and of those of one throttle whatever belongs to what the
// running live.poll tells of any. Returns the position up to which all has to be one point then; 0:
// there is nothing of that kind.
uint64_t ReleaseToPoll(TellsOf (*tells_of)(const LocalSubscription& one, void* context),
                       void* context);
// Whether it would do anything for notifications. Never ereports.
bool GatheredIsDue();
// The position of the last release of those that have its throttle; 0: none.
uint64_t ReleasedTo(const LocalSubscription& subscription);

// Milliseconds until more of what was gathered is due, -1 if nothing waits for time alone. Never
// ereports.
int64 UntilGatheredIsDue(Delivery delivery);
// Sees to it that this backend is called when what is to be notified is due. Never ereports.
void ArrangeRelease();
// Whether that is so, or needless. An error of the session takes it away. Never ereports.
bool ReleaseIsArranged();

}  // namespace live_queries
