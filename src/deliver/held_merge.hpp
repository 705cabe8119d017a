// What is held for several subscriptions, in the order of the log, in which it would have come: by
// notifications (dispatch.cpp), or by live.poll (poll_queue.cpp). Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "lib/binaryheap.h"
}

namespace live_queries {

// A subscription's queue, and what it gives next.
struct HeldSource {
  LocalSubscription* subscription;
  RecordHeader next;
  // By which it stands in the order: its own seq, or if it has none, that of what was before it.
  uint64_t seq;
  bool noted;  // for the caller
};

class HeldMerge {
 public:
  // Begins with the queues of the subscriptions that `wanted` wants, in CurrentMemoryContext.
  // Nothing else may read them, or discard anything, as long as it is used.
  template <class Wanted>
  void Begin(Wanted&& wanted) {
    Allocate();
    for (LocalSubscription* one : Stirring())
      if (one->held->unread() > 0 && wanted(*one)) Add(one);
    Order();
  }

  // Whose record is next; nullptr if none is left.
  HeldSource* First();
  // It was read.
  void Advance();

  // Whether changes follow that belong to the same point (model/flow_control.hpp) as `message`,
  // which was read.
  bool IsFollowed(const Point& point, const RecordHeader& message) const;
  // Another one than `source` whose next record is a reset or termination of that point; or
  // nullptr.
  HeldSource* FindNews(const Point& point, const HeldSource* source) const;
  // Makes it the first one. `source` is from FindNews.
  HeldSource* Prefer(HeldSource* source);

 private:
  void Allocate();
  void Add(LocalSubscription* subscription);
  void Order();
  HeldSource* At(int index) const;

  binaryheap* heap_ = nullptr;
  int news_ = 0;  // resets and terminations among the next records
};

}  // namespace live_queries
