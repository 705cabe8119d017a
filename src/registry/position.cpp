// Publishing and awaiting a position without a lock: who waits says what for, and who publishes
// wakes only those who have it now. Process: a consumer (publishes), client backend (waits).
#include "registry/position.hpp"

namespace live_queries {
namespace {

// Takes each who waits for `position` or less out, and wakes it. What the others wait for least is
// what is awaited then.
void WakeWaiters(ConsumerShared* consumer, uint64_t position) {
  uint64_t least = kNothingAwaited;
  (void)consumer->awaited.Exchange(kNothingAwaited);
  for (int index = 0; index < ConnectionCapacity(); ++index) {
    ConnectionShared* connection = ConnectionAt(index);
    Atomic<uint64_t>& awaits = connection->lanes[consumer->index].awaits;
    uint64_t awaited = awaits.Load();
    // A place whose backend waits for the same consumer of another database is none of ours.
    if (awaited == kNothingAwaited ||
        connection->database.Load() != DatabaseAt(consumer->database)->database.Load())
      continue;
    // Unless it waits for something else by now.
    if (awaited <= position && awaits.Replace(&awaited, kNothingAwaited))
      WakeConnection(connection);
    else if (awaited < least)
      least = awaited;
  }
  consumer->awaited.Lower(least);
}

}  // namespace

void PublishPosition(uint64_t position) {
  ConsumerShared* consumer = MyConsumer();
  consumer->position.Raise(position);
  if (consumer->awaited.Load() <= position) WakeWaiters(consumer, position);
}

void ReleaseWaiters() {
  pg_memory_barrier();
  WakeWaiters(MyConsumer(), kNothingAwaited - 1);
}

bool AwaitPosition(ConsumerShared* consumer, uint64_t position) {
  auto is_bound = [&] {
    return consumer->state.Load() == ConsumerState::kRunning &&
           consumer->position.Load() < position;
  };
  if (!is_bound()) return false;
  Atomic<uint64_t>& awaits = MyConnectionIfAny()->lanes[consumer->index].awaits;
  // It may wait for something else as well, which comes earlier: then it is woken once too often.
  awaits.Lower(position);
  pg_memory_barrier();
  consumer->awaited.Lower(position);
  // It may have passed, or ended, before it could see that.
  pg_memory_barrier();
  if (!is_bound()) {
    uint64_t mine = position;
    (void)awaits.Replace(&mine, kNothingAwaited);
    return false;
  }
  // Where it sleeps, since it was not told of a commit, it has to look.
  WakeConsumer(*consumer);
  return true;
}

}  // namespace live_queries
