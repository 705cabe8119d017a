// Hands out what waits for the role that polls, in the order of the log, with the point that it
// shows. Called by live.poll, by way of client/session.cpp. Process: client backend.
#include "deliver/poll_queue.hpp"

#include <algorithm>

#include "deliver/held_merge.hpp"
#include "deliver/lane_merge.hpp"
#include "deliver/permission.hpp"
#include "deliver/throttle.hpp"
#include "model/message.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "miscadmin.h"
}

namespace live_queries {
namespace {

// What the messages show that a role has polled: it reads a part of the subscriptions, and in an
// order of its own.
struct RolePoint {
  RolePoint* next;
  Oid role;
  Point point;
  bool goes_on;  // what was to come of the last point has gone: it goes on with the next one
};

RolePoint* first_point = nullptr;
RolePoint* current = nullptr;  // of the running live.poll
HeldMerge merge;

RolePoint* FindPoint(Oid role) {
  RolePoint* one = first_point;
  while (one != nullptr && one->role != role) one = one->next;
  return one;
}

RolePoint* PointOf(Oid role) {
  RolePoint* one = FindPoint(role);
  if (one != nullptr) return one;
  one = AllocateIn<RolePoint>(TopMemoryContext);
  one->role = role;
  one->next = first_point;
  first_point = one;
  return one;
}

// The role asked about last, and the answer. It is asked for each subscription.
struct Answer {
  Oid role;
  bool may_act;
};

bool MayActForThis(Oid role, Answer* last) {
  if (last->role != role) *last = {role, MayActFor(role)};
  return last->may_act;
}

// Whether the current role polls it.
bool IsMine(const LocalSubscription& one, Answer* last) {
  if (one.delivery != Delivery::kPoll || !one.flow.CanRelease()) return false;
  return one.over ? MayPoll(one) : MayActForThis(one.role, last);
}

// Whether changes wait that belong to the point.
bool AnythingWaits(const Point& point, Answer* last) {
  for (const LocalSubscription* one : Stirring()) {
    RecordHeader next;
    if (!IsMine(*one, last) || !one->held->Peek(&next)) continue;
    if (next.kind == RecordKind::kChanges && next.seq <= point.last().value) return true;
  }
  return false;
}

// What waits is told as a part of the point, if it is not later, or where all is that was taken.
TellsOf WhatPollTells(const LocalSubscription& one, void* context) {
  const Point& point = current->point;
  if (!IsMine(one, static_cast<Answer*>(context))) return {false, 0, 0};
  TellsOf tells = {true, 0, 0};
  if (point.begun().value != 0 && one.shown >= point.begun().value)
    tells.part = current->goes_on ? UINT64_MAX : point.last().value;
  RecordHeader next;
  if (!one.held->Peek(&next) || next.kind != RecordKind::kChanges) return tells;
  const uint64_t held_to = std::max(next.seq, ReleasedTo(one));
  const uint64_t later = std::max(held_to, CommonPoint());
  tells.at = held_to <= point.last().value ? point.last().value : later;
  return tells;
}

}  // namespace

void BeginPolling() {
  Answer last = {InvalidOid, false};
  auto is_mine = [&](const LocalSubscription& one) { return IsMine(one, &last); };
  current = PointOf(GetUserId());
  Point* point = &current->point;
  const SeqId before = point->last();
  for (const LocalSubscription* one : AllLocal()) {
    if (!IsShown(*one) || !is_mine(*one)) continue;
    point->Reach(SeqId{one->bound.lsn});
    point->Reach(SeqId{one->shown});
  }
  if (before < point->last()) point->Reach(SeqId{CommonPoint()});
  current->goes_on = point->begun().value != 0 && !AnythingWaits(*point, &last);
  // What is gathered is not released before somebody polls: it is to be what all others show then.
  for (uint64_t seq; (seq = ReleaseToPoll(WhatPollTells, &last)) > point->last().value;) {
    point->Reach(SeqId{seq});
    point->Reach(SeqId{CommonPoint()});
  }
  merge.Begin(is_mine);
}

// With the last changes of a point, the current role has everything that belongs to it.
LocalSubscription* NextToPoll() {
  HeldSource* source = merge.First();
  if (source == nullptr) return nullptr;
  // What an earlier call has left of a point is told as part of that; what comes next begins
  // another one, up to where all is that was taken.
  if (source->seq > current->point.last().value) current->point.Reach(SeqId{CommonPoint()});
  if (source->next.kind == RecordKind::kChanges)
    if (HeldSource* news = merge.FindNews(current->point, source)) source = merge.Prefer(news);
  return source->subscription;
}

bool IsFirstPolled() {
  HeldSource* source = merge.First();
  const bool first = !source->noted;
  source->noted = true;
  return first;
}

void ReadPolled(PolledMessage* message) {
  const HeldSource* source = merge.First();
  LocalSubscription* subscription = source->subscription;
  RecordView record;
  (void)subscription->held->Read(&record);
  merge.Advance();
  Point& point = current->point;
  // The last of a point may also be the news that there will be no more.
  const bool news = subscription->held->unread() > 0 && source->next.kind != RecordKind::kChanges &&
                    point.IsFollowedBy(record.header, source->next);
  const bool more = news || merge.IsFollowed(point, record.header);
  message->subscription_id = CopyText(subscription->id.view());
  message->seq = point.Stamp(SeqId{record.header.seq});
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  WriteMessage(sink, record, message->subscription_id, message->seq,
               more && !LIVE_QUERIES_MUTATION("never_more"));
  message->message = View(text);
  subscription->shown = message->seq.value;
  point.Continue(more);
  if (record.header.kind == RecordKind::kTerminated) subscription->over = true;
}

Point PolledPoint(Oid role) {
  const RolePoint* one = FindPoint(role);
  return one == nullptr ? Point() : one->point;
}

void SetPolledPoint(Oid role, const Point& point) {
  if (RolePoint* one = FindPoint(role)) one->point = point;
}

// For the session itself is that a subscription is over whose role it has lost: it may be that
// nobody in it can become that role any more. Nothing but that waits then.
bool MayPoll(const LocalSubscription& subscription) {
  if (subscription.over && HasLostRole(subscription)) return IsSessionItself();
  return MayActFor(subscription.role);
}

}  // namespace live_queries
