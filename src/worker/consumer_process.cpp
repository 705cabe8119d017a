// Places, states and ends of consumers. Process: decoder, evaluator.
#include "worker/consumer_process.hpp"

#include "pg/compat.hpp"
#include "pg/compat_decoding.hpp"
#include "pg/fault.hpp"
#include "pg/locks.hpp"
#include "pg/settings.hpp"
#include "registry/connection.hpp"
#include "registry/position.hpp"
#include "registry/shared_memory.hpp"
#include "worker/worker_process.hpp"

extern "C" {
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/timeout.h"
}

namespace live_queries {
namespace {

ConsumerShared* consumer = nullptr;
DatabaseShared* database = nullptr;
// An end counts as a failure, after which the launcher waits, unless it was asked for.
bool failed = true;

void SetState(ConsumerState state) {
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] { consumer->state.Store(state); });
  ConditionVariableBroadcast(&consumer->progress);
}

// However this process ends: frees its place, and lets the launcher start the next one in time.
void OnExit(int, Datum) {
  LIVE_QUERIES_FAULT("decoder-exit");
  // Before the place is free: who waits for that may want to drop the database.
  DropOwnSlots();
  LIVE_QUERIES_FAULT("slot-dropped");
  WithLock(ControlLock(), LW_EXCLUSIVE, [] {
    consumer->state.Store(ConsumerState::kStopped);
    consumer->pid.Store(0);
    consumer->proc.Store(-1);
    consumer->slot_name[0] = '\0';
    ForgetDirtyConnections(consumer);
    if (failed) NoteFailure(consumer);
  });
  ConditionVariableBroadcast(&consumer->progress);
  ReleaseWaiters();
  WakeLauncher();
}

// A timeout of an evaluation arrives as this signal too. Another cancel has nothing to cancel: it
// would only end the process, and with that reset its subscriptions.
template <class... Info>  // which the server's handlers get since 19
void OnCancelSignal(int signal, Info... info) {
  if (get_timeout_indicator(STATEMENT_TIMEOUT, false) || get_timeout_indicator(LOCK_TIMEOUT, false))
    StatementCancelHandler(signal, info...);
}

}  // namespace

void AcceptConsumerSignals() {
  pqsignal(SIGINT, OnCancelSignal);
  AcceptSignals();
}

DatabaseShared* DatabaseOfMine() { return database; }

void TakePlace(int index) {
  database = DatabaseAt(index / kMaxConsumers);
  consumer = &database->consumers[index % kMaxConsumers];
  SetMyConsumer(consumer);
  const bool mine = WithLock(ControlLock(), LW_EXCLUSIVE, [] {
    if (consumer->pid.Load() != 0 || consumer->state.Load() != ConsumerState::kLaunched)
      return false;
    const Oid oid = database->database.Load();
    // Dropped meanwhile, or about to be.
    if (!OidIsValid(oid) || GetCurrentTimestamp() < database->suspended_until.Load()) {
      consumer->state.Store(ConsumerState::kStopped);
      return false;
    }
    consumer->pid.Store(MyProcPid);
    consumer->proc.Store(ProcIndex(MyProc));
    consumer->state.Store(ConsumerState::kFindingStart);
    consumer->started_at = GetCurrentTimestamp();
    snprintf(consumer->slot_name, sizeof(consumer->slot_name), "live_queries_%u_%d", oid,
             MyProcPid);
    return true;
  });
  if (!mine) proc_exit(0);
  // Not before_shmem_exit: who waits for us to go wants our slot and our connection gone as well.
  on_shmem_exit(OnExit, 0);
}

void BeginToServe() {
  WithLock(ControlLock(), LW_EXCLUSIVE, [] {
    consumer->problem.sqlstate = 0;
    consumer->failures = 0;
  });
  SetState(ConsumerState::kRunning);
}

bool ShouldStop() {
  static TimestampTz idle_since = 0;
  const TimestampTz now = GetCurrentTimestamp();
  // A look without the lock: if it is wrong, the next turn is right.
  if (consumer->subscriptions.Load() > 0 && now >= database->suspended_until.Load()) {
    idle_since = 0;
    return false;
  }
  return WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    bool stop = now < database->suspended_until.Load();
    if (IsWanted(*database, *consumer, now))
      idle_since = 0;
    else if (idle_since == 0)
      idle_since = now;
    else if (TimestampDifferenceExceeds(idle_since, now, idle_timeout_ms))
      stop = true;
    if (stop) consumer->state.Store(ConsumerState::kStopped);
    return stop;
  });
}

void StopAsAsked() {
  failed = false;
  proc_exit(0);
}

void NoteProblem(const ErrorData& error) {
  WithLock(ControlLock(), LW_EXCLUSIVE,
           [&] { consumer->problem.Set(error.sqlerrcode, error.message, error.hint); });
}

void KeepPace(TimestampTz* last, int64 pace_us) {
  const int64 elapsed = GetCurrentTimestamp() - *last;
  if (elapsed >= 0 && elapsed < pace_us) pg_usleep(static_cast<long>(pace_us - elapsed));
  *last = GetCurrentTimestamp();
}

}  // namespace live_queries
