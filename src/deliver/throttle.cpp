// Clocks, each of the subscriptions of one interval, and the queues of what was gathered. Process:
// client backend.
#include "deliver/throttle.hpp"

#include <algorithm>

#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/try_catch.hpp"

extern "C" {
#include "commands/async.h"
#include "utils/timeout.h"
}

namespace live_queries {

// Subscriptions of one interval have one clock: what they have gathered is released together.
struct ThrottleClock {
  ThrottleClock* next;
  int64 interval_ms;
  Delivery delivery;
  int count;              // of subscriptions
  TimestampTz last_told;  // when the last message of any of them was; 0: none was
  uint64_t released_to;   // the position of the last release
  bool open;              // what they have gathered is to be told, whatever the time is
  uint64_t told_at;       // of a live.poll: TellsOf::at, the greatest of theirs
  uint64_t part_at;       // likewise TellsOf::part
};

struct Throttle {
  ThrottleClock* clock;
  OldRows old_rows;
  RecordQueue* gathered;
  size_t bytes;        // of it
  size_t net_bytes;    // what was left when that was last made net
  uint64_t first_seq;  // of the first one
  uint64_t held_from;  // what that was of the oldest that is released and not told
  uint64_t seq;        // of the last one
  // Of a release: it is part of that, which begins there in what is held.
  bool released;
  RecordQueue::WritePosition place;
  NetSize size;
};

namespace {

// So much is gathered before it is made net, lest a row that changes all the time fills the room.
constexpr size_t kNetAtBytes = 1024 * 1024;
// A timer is set for no longer than this, and then again.
constexpr int64 kLongestMs = 3600 * 1000;

ThrottleClock* first_clock = nullptr;
TimeoutId timer;
bool timer_registered = false;

void OnTimer() { HandleNotifyInterrupt(); }

ThrottleClock* ClockOf(int64 interval_ms, Delivery delivery) {
  for (ThrottleClock* clock = first_clock; clock != nullptr; clock = clock->next)
    if (clock->interval_ms == interval_ms && clock->delivery == delivery) return clock;
  auto* clock = AllocateIn<ThrottleClock>(TopMemoryContext);
  clock->interval_ms = interval_ms;
  clock->delivery = delivery;
  clock->next = first_clock;
  return first_clock = clock;
}

void Leave(ThrottleClock* clock) {
  if (--clock->count > 0) return;
  ThrottleClock** link = &first_clock;
  while (*link != clock) link = &(*link)->next;
  *link = clock->next;
  pfree(clock);
}

// Whether what it holds is changes, not that it is reset or over.
bool IsTold(const LocalSubscription& one) {
  return one.flow.IsFlowing() && !one.flow.broken() &&
         one.flow.status() != SubscriptionStatus::kTerminated;
}

// What waits for nothing but its time.
bool WaitsForTime(const LocalSubscription& one) {
  return one.throttle != nullptr && one.throttle->gathered->unread() > 0 && one.flow.IsFlowing();
}

void CloseAll() {
  for (ThrottleClock* clock = first_clock; clock != nullptr; clock = clock->next)
    clock->open = false;
}

// Of notifications: with what is held already, and is told now, comes all that is newer: their
// client is to have one point, and that of the others. So an error costs no time.
void OpenToNotify() {
  CloseAll();
  for (const LocalSubscription* one : Stirring())
    if (one->throttle != nullptr && one->held->unread() > 0 && IsTold(*one))
      one->throttle->clock->open = true;
}

// Of a live.poll: those of one throttle are to show one point where one of them shows it, so what
// they have gathered up to there belongs to it.
void OpenToPoll(TellsOf (*tells_of)(const LocalSubscription& one, void* context), void* context) {
  CloseAll();
  for (ThrottleClock* clock = first_clock; clock != nullptr; clock = clock->next)
    clock->told_at = clock->part_at = 0;
  for (const LocalSubscription* one : AllLocal()) {
    if (one->throttle == nullptr || one->delivery != Delivery::kPoll) continue;
    ThrottleClock* clock = one->throttle->clock;
    const TellsOf tells = tells_of(*one, context);
    clock->told_at = std::max({clock->told_at, tells.at, tells.part});
    clock->part_at = std::max(clock->part_at, tells.part);
  }
  for (const LocalSubscription* one : Stirring()) {
    const Throttle* throttle = one->throttle;
    if (!WaitsForTime(*one) || one->delivery != Delivery::kPoll) continue;
    if (throttle->first_seq <= throttle->clock->told_at && tells_of(*one, context).mine)
      throttle->clock->open = true;
  }
}

// What was released before belongs to a point, too, of which another one of its throttle was told a
// part. Returns up to where; 0: there is nothing.
uint64_t ReleasedIntoPart(TellsOf (*tells_of)(const LocalSubscription& one, void* context),
                          void* context) {
  uint64_t seq = 0;
  for (const LocalSubscription* one : Stirring()) {
    const Throttle* throttle = one->throttle;
    if (throttle == nullptr || one->delivery != Delivery::kPoll) continue;
    if (one->held->unread() == 0 || !IsTold(*one)) continue;
    if (throttle->held_from <= throttle->clock->part_at && tells_of(*one, context).mine)
      seq = std::max(seq, throttle->clock->released_to);
  }
  return seq;
}

// A time of day that was set back has waited for long enough.
int64 UntilDue(const ThrottleClock& clock, TimestampTz now) {
  if (clock.open || clock.last_told == 0 || now < clock.last_told) return 0;
  const int64 elapsed_ms = (now - clock.last_told) / 1000;
  return std::max<int64>(clock.interval_ms - elapsed_ms, 0);
}

template <class Visit>
void ForEachReleased(Visit&& visit) {
  for (LocalSubscription* one : Stirring())
    if (one->throttle != nullptr && one->throttle->released) visit(one);
}

MemoryContext NetContext() {
  return AllocSetContextCreate(CurrentMemoryContext, "live_queries net changes",
                               ALLOCSET_DEFAULT_SIZES);
}

// It is what it comes to from here on.
void MakeNet(LocalSubscription* subscription) {
  Throttle* throttle = subscription->throttle;
  RecordQueue* net = RecordQueue::Create(subscription->context);
  MemoryContext context = NetContext();
  const size_t bytes = RecordQueue::TotalBytes();
  TryCatch(
      CurrentMemoryContext,
      [&] {
        InMemoryContext(context,
                        [&] { (void)AppendNet(throttle->gathered, throttle->old_rows, 0, net); });
      },
      [&](ErrorData* error) {
        net->Destroy();
        throttle->gathered->Rewind();
        ReThrowError(error);
      });
  MemoryContextDelete(context);
  RecordQueue* former = throttle->gathered;
  throttle->gathered = net;
  throttle->bytes = throttle->net_bytes = RecordQueue::TotalBytes() - bytes;
  former->Destroy();
}

// Behind what it holds.
void Release(LocalSubscription* one, uint64_t seq) {
  Throttle* throttle = one->throttle;
  throttle->gathered->Rewind();
  MemoryContext context = NetContext();
  InMemoryContext(context, [&] {
    throttle->size = AppendNet(throttle->gathered, throttle->old_rows, seq, one->held);
  });
  MemoryContextDelete(context);
  LIVE_QUERIES_FAULT("client-release");
}

// Chooses those whose time has come. Returns the greatest position of what they have gathered.
uint64_t ChooseReleased(Delivery delivery, TimestampTz now) {
  uint64_t seq = 0;
  for (LocalSubscription* one : Stirring()) {
    Throttle* throttle = one->throttle;
    if (throttle == nullptr) continue;
    throttle->released =
        one->delivery == delivery && WaitsForTime(*one) && UntilDue(*throttle->clock, now) == 0;
    if (!throttle->released) continue;
    // Not before what others of its throttle hold, or were told.
    seq = std::max({seq, throttle->seq, throttle->clock->released_to});
    throttle->place = one->held->write_position();
  }
  return seq;
}

// It is held now. What comes to nothing is no message.
void Confirm(LocalSubscription* one, uint64_t seq, TimestampTz now) {
  Throttle* throttle = one->throttle;
  throttle->gathered->ForgetRead();
  throttle->bytes = throttle->net_bytes = 0;
  throttle->clock->released_to = seq;
  if (throttle->size.messages == 0) return;
  if (one->held->unread() == throttle->size.messages) throttle->held_from = throttle->first_seq;
  throttle->clock->last_told = now;
  if (one->delivery == Delivery::kPoll)
    one->waiting.Add(DeliveredCounts{throttle->size.messages, throttle->size.changes, 0, seq});
}

// Returns the position of all that was released; 0: there is none.
uint64_t ReleaseChosen(Delivery delivery) {
  const TimestampTz now = GetCurrentTimestamp();
  const uint64_t seq = ChooseReleased(delivery, now);
  if (seq == 0) return 0;
  TryCatch(
      CurrentMemoryContext,
      [&] { ForEachReleased([&](LocalSubscription* one) { Release(one, seq); }); },
      [&](ErrorData* error) {
        ForEachReleased([](LocalSubscription* one) {
          one->held->CutBack(one->throttle->place);
          one->throttle->gathered->Rewind();
        });
        ReThrowError(error);
      });
  ForEachReleased([&](LocalSubscription* one) { Confirm(one, seq, now); });
  return seq;
}

}  // namespace

void BeginThrottle(LocalSubscription* subscription, int64 interval_ms) {
  if (interval_ms == 0) return;
  if (!timer_registered) timer = RegisterTimeout(USER_TIMEOUT, OnTimer);
  timer_registered = true;
  auto* throttle = AllocateIn<Throttle>(subscription->context);
  throttle->gathered = RecordQueue::Create(subscription->context);
  throttle->clock = ClockOf(interval_ms, subscription->delivery);
  ++throttle->clock->count;
  subscription->throttle = throttle;
}

void SetOldRows(LocalSubscription* subscription, OldRows old_rows) {
  if (subscription->throttle != nullptr) subscription->throttle->old_rows = old_rows;
}

int64 ThrottleOf(const LocalSubscription& subscription) {
  return subscription.throttle == nullptr ? 0 : subscription.throttle->clock->interval_ms;
}

void EndThrottle(LocalSubscription* subscription) {
  if (subscription->throttle == nullptr) return;
  subscription->throttle->gathered->Destroy();
  Leave(subscription->throttle->clock);
  subscription->throttle = nullptr;
}

void ShrinkGathered(LocalSubscription* subscription) {
  const Throttle* throttle = subscription->throttle;
  if (throttle->bytes - throttle->net_bytes > throttle->net_bytes / 8) MakeNet(subscription);
}

void Gather(LocalSubscription* subscription, const RecordView& record) {
  Throttle* throttle = subscription->throttle;
  if (throttle->bytes > std::max(2 * throttle->net_bytes, kNetAtBytes)) MakeNet(subscription);
  if (throttle->gathered->unread() == 0) throttle->first_seq = record.header.seq;
  LIVE_QUERIES_FAULT("client-gather");
  throttle->gathered->Append(record.header, record.body);
  throttle->bytes += record.body.size();
  throttle->seq = record.header.seq;
}

uint64_t GatheredFrom(const LocalSubscription& subscription) {
  const Throttle* throttle = subscription.throttle;
  return throttle == nullptr || throttle->gathered->unread() == 0 ? UINT64_MAX
                                                                  : throttle->first_seq;
}

void ForgetGathered(LocalSubscription* subscription) {
  Throttle* throttle = subscription->throttle;
  if (throttle == nullptr) return;
  throttle->gathered->Rewind();
  throttle->gathered->DiscardUnread();
  throttle->bytes = throttle->net_bytes = 0;
}

void NoteTold(const LocalSubscription& subscription) {
  if (subscription.throttle != nullptr)
    subscription.throttle->clock->last_told = GetCurrentTimestamp();
}

uint64_t ReleaseToNotify() {
  if (first_clock == nullptr) return 0;
  OpenToNotify();
  return ReleaseChosen(Delivery::kNotify);
}

uint64_t ReleaseToPoll(TellsOf (*tells_of)(const LocalSubscription& one, void* context),
                       void* context) {
  if (first_clock == nullptr) return 0;
  OpenToPoll(tells_of, context);
  bool open = false;
  for (const ThrottleClock* clock = first_clock; clock != nullptr; clock = clock->next)
    open = open || clock->open;
  const uint64_t into_part = ReleasedIntoPart(tells_of, context);
  const uint64_t seq = ReleaseChosen(Delivery::kPoll);
  return open ? seq : into_part;
}

bool GatheredIsDue() { return UntilGatheredIsDue(Delivery::kNotify) == 0; }

uint64_t ReleasedTo(const LocalSubscription& subscription) {
  return subscription.throttle == nullptr ? 0 : subscription.throttle->clock->released_to;
}

int64 UntilGatheredIsDue(Delivery delivery) {
  int64 least = -1;
  if (first_clock == nullptr) return least;
  const TimestampTz now = GetCurrentTimestamp();
  if (delivery == Delivery::kNotify)
    OpenToNotify();
  else
    CloseAll();
  for (const LocalSubscription* one : Stirring()) {
    if (one->delivery != delivery || !WaitsForTime(*one)) continue;
    const int64 left = UntilDue(*one->throttle->clock, now);
    if (least < 0 || left < least) least = left;
  }
  return least;
}

void ArrangeRelease() {
  const int64 left = UntilGatheredIsDue(Delivery::kNotify);
  if (left >= 0)
    enable_timeout_after(timer, static_cast<int>(std::clamp<int64>(left, 1, kLongestMs)));
}

bool ReleaseIsArranged() {
  return UntilGatheredIsDue(Delivery::kNotify) < 0 || get_timeout_active(timer);
}

}  // namespace live_queries
