// Prepares a consumer's place, wakes its process, and counts its failures, after each of which the
// launcher waits longer. Process: any.
#include "registry/consumer.hpp"

#include <algorithm>

#include "pg/locks.hpp"
#include "registry/shared_memory.hpp"

extern "C" {
#include "storage/latch.h"
#include "storage/proc.h"
}

namespace live_queries {
namespace {

constexpr int kFirstBackoffMs = 200;
constexpr int kLongestBackoffMs = 30 * 1000;

ConsumerShared* my_consumer = nullptr;

void SetLatchOf(int proc) {
  if (proc >= 0) SetLatch(&ProcGlobal->allProcs[proc].procLatch);
}

}  // namespace

std::string_view ToText(ConsumerState state) {
  switch (state) {
    case ConsumerState::kStopped:
      return "stopped";
    case ConsumerState::kLaunched:
      return "launched";
    case ConsumerState::kFindingStart:
      return "finding start";
    case ConsumerState::kRunning:
      return "running";
  }
  return "unknown";
}

std::string_view ToText(ConsumerKind kind) {
  switch (kind) {
    case ConsumerKind::kDecoder:
      return "decoder";
    case ConsumerKind::kEvaluator:
      return "evaluator";
    case ConsumerKind::kRefresher:
      return "refresher";
  }
  return "unknown";
}

void InitConsumer(ConsumerShared* consumer, int database, int index) {
  std::fill_n(reinterpret_cast<char*>(consumer), sizeof(ConsumerShared), 0);
  consumer->kind = KindOf(index);
  consumer->index = index;
  consumer->database = database;
  consumer->state.Init(ConsumerState::kStopped);
  consumer->pid.Init(0);
  consumer->proc.Init(-1);
  consumer->dirty_connection.Init(-1);
  consumer->all_dirty.Init(false);
  consumer->awaited.Init(kNothingAwaited);
  consumer->subscriptions.Init(0);
  for (Atomic<uint64_t>* number :
       {&consumer->resets, &consumer->errors, &consumer->position, &consumer->memory_bytes,
        &consumer->templates, &consumer->transactions, &consumer->changes_decoded,
        &consumer->changes_ignored, &consumer->changes_matched, &consumer->messages,
        &consumer->batches, &consumer->evaluations, &consumer->refreshes, &consumer->probe_us,
        &consumer->query_us, &consumer->difference_us, &consumer->lapses})
    number->Init(0);
  consumer->snapshot_taken_at.Init(0);
  InitPublishedSnapshot(&consumer->snapshot);
  ConditionVariableInit(&consumer->progress);
}

void ReuseConsumer(ConsumerShared* consumer) {
  consumer->failures = 0;
  consumer->retry_at = 0;
  consumer->wanted_until = 0;
  consumer->problem.sqlstate = 0;
  for (Atomic<uint64_t>* number :
       {&consumer->resets, &consumer->errors, &consumer->position, &consumer->templates,
        &consumer->transactions, &consumer->changes_decoded, &consumer->changes_ignored,
        &consumer->changes_matched, &consumer->messages, &consumer->batches, &consumer->evaluations,
        &consumer->refreshes, &consumer->probe_us, &consumer->query_us, &consumer->difference_us,
        &consumer->lapses})
    number->Store(0);
  consumer->snapshot_taken_at.Store(0);
}

bool IsIdle(const ConsumerShared& consumer) {
  return consumer.state.Load() == ConsumerState::kStopped && consumer.pid.Load() == 0;
}

bool FailsToRun(const ConsumerShared& consumer) {
  return WithLock(ControlLock(), LW_SHARED, [&] {
    return consumer.failures > 0 && consumer.state.Load() != ConsumerState::kRunning;
  });
}

void NoteFailure(ConsumerShared* consumer) {
  int backoff = kFirstBackoffMs;
  for (int i = 0; i < consumer->failures && backoff < kLongestBackoffMs; ++i) backoff *= 2;
  ++consumer->failures;
  consumer->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), backoff);
}

void WakeConsumer(const ConsumerShared& consumer) { SetLatchOf(consumer.proc.Load()); }

void WakeLauncher() { SetLatchOf(Control()->launcher_proc.Load()); }

ConsumerShared* MyConsumer() { return my_consumer; }

void SetMyConsumer(ConsumerShared* consumer) { my_consumer = consumer; }

}  // namespace live_queries
