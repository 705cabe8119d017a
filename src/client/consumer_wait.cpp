// Waits on a consumer's condition variable until what is waited for is there, or the wait is over:
// by a timeout, a cancel, or a problem of the consumer's, which is raised here. After a second it
// tells the client which transactions the consumer waits for. Process: client backend.
#include "client/consumer_wait.hpp"

#include "pg/compat.hpp"
#include "pg/settings.hpp"
#include "registry/kept_problem.hpp"
#include "registry/limits.hpp"
#include "registry/registration.hpp"
#include "worker/launcher.hpp"

extern "C" {
#include "access/transam.h"
#include "access/twophase.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/condition_variable.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

constexpr int kSleepMs = 1000;  // the variable is broadcast; this bounds what a lost one costs

// As pg_stat_activity has it.
bool MaySeeActivityOf(Oid role) {
  return has_privs_of_role(GetUserId(), role) ||
         has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

// Where it gives a table another file, that may take long: ` (VACUUM FULL of orders)`.
void AppendRewriting(StringInfo text, const PgBackendStatus& status) {
  const char* command = RewritingCommand(status);
  if (command == nullptr) return;
  const Oid target = status.st_progress_command_target;
  // Of a catalog it could not be looked up meanwhile.
  const char* table = status.st_databaseid == MyDatabaseId && target >= FirstNormalObjectId
                          ? get_rel_name(target)
                          : nullptr;
  if (table == nullptr)
    appendStringInfo(text, " (%s)", command);
  else
    appendStringInfo(text, " (%s of %s)", command, quote_identifier(table));
}

// A transaction that the decoder's slot has to wait for, for a message to people.
void TellWhoHoldsUp() {
  StringInfoData who;
  initStringInfo(&who);
  // The places of prepared transactions follow, and are not counted.
  const uint32 count = ProcGlobal->allProcCount + static_cast<uint32>(max_prepared_xacts);
  for (uint32 i = 0; i < count; ++i) {
    const PGPROC* proc = &ProcGlobal->allProcs[i];
    const TransactionId xid = proc->xid;
    if (!TransactionIdIsNormal(xid)) continue;
    if (who.len > 0) appendStringInfoString(&who, "; ");
    const PgBackendStatus* status = proc->pid == 0 ? nullptr : StatusOfPid(proc->pid);
    if (proc->pid == 0)
      appendStringInfo(&who, "prepared transaction %u", xid);
    else if (status == nullptr || status->st_xact_start_timestamp == 0 ||
             !MaySeeActivityOf(status->st_userid))
      appendStringInfo(&who, "process %d", proc->pid);
    else {
      appendStringInfo(&who, "process %d since %s", proc->pid,
                       timestamptz_to_str(status->st_xact_start_timestamp));
      AppendRewriting(&who, *status);
    }
  }
  if (who.len == 0) return;
  ereport(NOTICE, errmsg("live_queries waits for older transactions to end before it can start"),
          errdetail("Running: %s.", who.data));
}

// Sleeps on the consumer's progress until `done` holds, if it does not yet. Calls `overdue` once
// after a second.
template <class Done, class Overdue>
bool SleepUntil(ConsumerShared* consumer, uint32 wait_event, int64 timeout_ms, Done&& done,
                Overdue&& overdue) {
  if (done()) return true;
  const TimestampTz start = GetCurrentTimestamp();
  bool told = false;
  bool reached = true;
  ConditionVariablePrepareToSleep(&consumer->progress);
  while (!done()) {
    const TimestampTz now = GetCurrentTimestamp();
    const int64 elapsed = TimestampDifferenceMilliseconds(start, now);
    if (timeout_ms >= 0 && elapsed >= timeout_ms) {
      reached = false;
      break;
    }
    if (!told && elapsed >= kSleepMs) {
      overdue();
      told = true;
    }
    const int64 left = timeout_ms < 0 ? kSleepMs : timeout_ms - elapsed;
    (void)ConditionVariableTimedSleep(
        &consumer->progress, static_cast<long>(left < kSleepMs ? left : kSleepMs), wait_event);
  }
  ConditionVariableCancelSleep();
  return reached;
}

ConsumerShared* ConsumerOfMine(int index) {
  DatabaseShared* database =
      WithLock(ControlLock(), LW_EXCLUSIVE, [] { return FindOrAddDatabase(MyDatabaseId); });
  if (database == nullptr) RaiseTooManyDatabases();
  return &database->consumers[index];
}

int64 SubscribeTimeout() { return subscribe_timeout_ms == 0 ? -1 : subscribe_timeout_ms; }

[[noreturn]] void RaiseTimeout() {
  ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED),
          errmsg("the decoder of live_queries was not ready after live_queries.subscribe_timeout"),
          errhint("SELECT * FROM live.workers shows what it is doing."));
  pg_unreachable();
}

// Lets the launcher start it for a client that is about to subscribe, and it not stop meanwhile.
// Runs out by itself, however the client ends.
void Want(ConsumerShared* consumer) {
  constexpr int kWantedMs = 5000;
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    consumer->wanted_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kWantedMs);
  });
}

// A new client is a reason to try again, whatever went wrong before. False if one is on its way, or
// about to stop.
bool ForgetOldProblem(ConsumerShared* consumer) {
  return WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    if (consumer->state.Load() != ConsumerState::kStopped) return false;
    consumer->problem.sqlstate = 0;
    consumer->retry_at = 0;
    return true;
  });
}

// Without a launcher there is nothing to wait for. live.workers shows why.
void RequireLauncher(ConsumerShared* consumer) {
  if (LauncherIsRegistered()) return;
  const ProblemShared problem = WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    consumer->problem.Set(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
                          "no background worker was free for live_queries when the server started",
                          "Raise max_worker_processes and restart the server.");
    return consumer->problem;
  });
  RaiseProblem(problem);
}

// Whether this connection has live queries of it. One that has none waits for all who work.
bool IsWaitedFor(const ConsumerShared& consumer) {
  const ConnectionShared* mine = MyConnectionIfAny();
  if (mine != nullptr && CountSubscriptions(*mine) > 0)
    return mine->lanes[consumer.index].subscription_count.Load() > 0;
  return consumer.subscriptions.Load() > 0;
}

// Of the server itself. The next start may well go better: PostgreSQL can miss what a transaction
// that commits while a slot is looking for its start did to a catalog (TRUNCATE: "could not map
// filenode").
bool IsInternal(int sqlstate) {
  return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR);
}

// Of what it has published. For moments there is nothing.
PublishedMoment MomentOf(ConsumerShared* evaluator) {
  std::optional<PublishedMoment> moment;
  const bool there = SleepUntil(
      evaluator, WaitEventSubscribe(), SubscribeTimeout(),
      [&] {
        moment = MomentOfPublished(&evaluator->snapshot);
        return moment.has_value();
      },
      [] {});
  if (!there) RaiseTimeout();
  return *moment;
}

}  // namespace

void WaitForConsumer(int index) {
  if (KindOf(index) == ConsumerKind::kRefresher) WaitForConsumer(LeaderOf(index));
  ConsumerShared* consumer = ConsumerOfMine(index);
  RequireLauncher(consumer);
  Want(consumer);
  if (consumer->state.Load() == ConsumerState::kRunning) return;
  (void)ForgetOldProblem(consumer);
  bool tried_again = false;
  const bool running = SleepUntil(
      consumer, WaitEventSubscribe(), SubscribeTimeout(),
      [&] {
        if (consumer->state.Load() == ConsumerState::kRunning) return true;
        const ProblemShared problem =
            WithLock(ControlLock(), LW_SHARED, [&] { return consumer->problem; });
        if (problem.sqlstate != 0) {
          if (tried_again || !IsInternal(problem.sqlstate)) RaiseProblem(problem);
          tried_again = ForgetOldProblem(consumer);
        }
        Want(consumer);
        WakeLauncher();
        return false;
      },
      [&] {
        if (consumer->state.Load() == ConsumerState::kFindingStart) TellWhoHoldsUp();
      });
  if (!running) RaiseTimeout();
}

std::optional<uint64_t> WaitForAttachment(int index, uint64_t serial, uint64_t* values_here) {
  ConnectionShared* connection = MyConnection();
  ConsumerShared* consumer = ConsumerOfMine(index);
  Phase phase = Phase::kRegistered;
  ProblemShared problem = {};
  const bool answered = SleepUntil(
      consumer, WaitEventSubscribe(), SubscribeTimeout(),
      [&] {
        WithLock(connection->lock, LW_SHARED, [&] {
          const SubscriptionShared* shared = FindSubscription(*connection, serial);
          if (shared == nullptr) return;
          phase = shared->phase;
          *values_here = shared->values_here;
          problem = CopyProblem(shared->problem);
        });
        return phase != Phase::kRegistered || problem.sqlstate != 0;
      },
      [] {});
  if (problem.sqlstate != 0) RaiseProblem(problem);
  if (!answered) RaiseTimeout();
  if (phase == Phase::kOutdated) return std::nullopt;
  return consumer->position.Load();
}

PublishedMoment PushSnapshotOf(int evaluator, XLogRecPtr at_least, bool at_time) {
  ConsumerShared* consumer = ConsumerOfMine(evaluator);
  PublishedMoment wanted = {at_least, 0};
  if (at_time && consumer->kind == ConsumerKind::kRefresher)
    wanted = std::max(wanted, MomentOf(ConsumerOfMine(LeaderOf(evaluator))));
  // What it waits for reads no further than that.
  if (GetFlushRecPtr(nullptr) < at_least) XLogFlush(at_least);
  PublishedMoment moment = {};
  const bool there = SleepUntil(
      consumer, WaitEventSubscribe(), SubscribeTimeout(),
      [&] {
        const std::optional<PublishedMoment> pushed =
            PushPublishedSnapshot(&consumer->snapshot, wanted);
        if (pushed) moment = *pushed;
        if (!pushed) WakeConsumer(*consumer);
        return pushed.has_value();
      },
      [] {});
  if (!there) RaiseTimeout();
  return moment;
}

void WaitForPublication(XLogRecPtr lsn, void (*lost)(int consumer)) {
  DatabaseShared* database = FindDatabase(MyDatabaseId);
  if (database == nullptr) return;
  for (ConsumerShared& consumer : database->consumers) {
    if (!IsWaitedFor(consumer) || consumer.position.Load() >= lsn) continue;
    // It reads no further than that.
    if (GetFlushRecPtr(nullptr) < lsn) XLogFlush(lsn);
    const pid_t pid = consumer.pid.Load();
    bool gone = false;
    const bool answered = SleepUntil(
        &consumer, WaitEventSubscribe(), SubscribeTimeout(),
        [&] {
          gone = consumer.state.Load() != ConsumerState::kRunning || consumer.pid.Load() != pid;
          if (gone || consumer.position.Load() >= lsn) return true;
          WakeConsumer(consumer);
          return false;
        },
        [] {});
    if (!answered) RaiseTimeout();
    if (gone) lost(consumer.index);
  }
}

bool WaitForPosition(XLogRecPtr lsn, int64 timeout_ms) {
  DatabaseShared* database = FindDatabase(MyDatabaseId);
  if (database == nullptr) return true;
  if (XLogRecPtrIsInvalid(lsn)) {
    const XLogRecPtr flushed = GetFlushRecPtr(nullptr);
    const XLogRecPtr committed = database->commit_lsn.Load();
    lsn = committed > flushed ? committed : flushed;
  }
  const TimestampTz start = GetCurrentTimestamp();
  for (ConsumerShared& consumer : database->consumers) {
    if (!IsWaitedFor(consumer)) continue;
    const int64 elapsed = TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
    const bool reached = SleepUntil(
        &consumer, WaitEventProgress(), timeout_ms < elapsed ? 0 : timeout_ms - elapsed,
        [&] {
          if (consumer.position.Load() >= lsn) return true;
          WakeConsumer(consumer);
          return false;
        },
        [] {});
    if (!reached) return false;
  }
  return true;
}

}  // namespace live_queries
