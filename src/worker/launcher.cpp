// The launcher: one static background worker that looks at each database's slot, starts what is
// missing and starts again, later and later, what failed. Process: postmaster (registration),
// launcher.
#include "worker/launcher.hpp"

#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/locks.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "registry/connection.hpp"
#include "registry/database.hpp"
#include "registry/ending.hpp"
#include "registry/shared_memory.hpp"
#include "worker/decoder.hpp"
#include "worker/evaluator.hpp"
#include "worker/worker_process.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

PGDLLEXPORT void live_queries_launcher_main(Datum argument);
}

namespace live_queries {
namespace {

constexpr long kPassMs = 10 * 1000;  // only a safety net: whoever wants something sets the latch
constexpr int kRetrySoonMs = 250;

constexpr const char* kLauncherName = "live_queries launcher";

// Set by the postmaster, inherited by all.
bool registered = false;

// The workers that this launcher has asked for: of each database's slot kMaxConsumers.
BackgroundWorkerHandle** launched = nullptr;

void OnExit(int, Datum) {
  LIVE_QUERIES_FAULT("launcher-exit");
  Control()->launcher_proc.Store(-1);
}

// One of live_queries.databases.
struct NamedDatabase {
  const char* name;
  Oid oid;  // InvalidOid: there is none
  bool has_room;
};

template <class Visit>
void ForEachNamed(List* databases, Visit&& visit) {
  ListCell* cell;
  foreach (cell, databases) visit(static_cast<NamedDatabase*>(lfirst(cell)));
}

// NamedDatabase, in the order of the setting. Not by get_database_oid: a process that is in no
// database may not be able to open an index.
List* AlwaysOnDatabases() {
  List* names = NIL;
  List* databases = NIL;
  if (!SplitIdentifierString(pstrdup(always_on_databases), ',', &names)) return NIL;
  ListCell* cell;
  foreach (cell, names) {
    auto* named = static_cast<NamedDatabase*>(palloc(sizeof(NamedDatabase)));
    *named = {static_cast<char*>(lfirst(cell)), InvalidOid, false};
    databases = lappend(databases, named);
  }
  Relation catalog = table_open(DatabaseRelationId, AccessShareLock);
  TableScanDesc scan = table_beginscan_catalog(catalog, 0, nullptr);
  while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
    const Form_pg_database row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
    ForEachNamed(databases, [&](NamedDatabase* named) {
      if (strcmp(named->name, NameStr(row->datname)) == 0) named->oid = row->oid;
    });
  }
  table_endscan(scan);
  table_close(catalog, AccessShareLock);
  return databases;
}

// Tells once of the databases that are left out, and again where these are others.
void WarnOfLeftOut(List* databases) {
  static char* warned = nullptr;
  StringInfoData left_out;
  initStringInfo(&left_out);
  ForEachNamed(databases, [&](const NamedDatabase* named) {
    if (OidIsValid(named->oid) && !named->has_room)
      appendStringInfo(&left_out, "%s\"%s\"", left_out.len == 0 ? "" : ", ", named->name);
  });
  if (strcmp(left_out.data, warned == nullptr ? "" : warned) == 0) return;
  if (warned != nullptr) pfree(warned);
  warned = MemoryContextStrdup(TopMemoryContext, left_out.data);
  if (left_out.len == 0) return;
  ereport(WARNING, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
          errmsg("live_queries.databases names more databases than there is room for"),
          errdetail("No decoder always runs for %s. %d can have live queries at one time.",
                    left_out.data, max_databases),
          errhint("Raise live_queries.max_databases and restart the server, or name fewer."));
}

// Makes sure that the databases of live_queries.databases have a slot that wants a decoder.
void MarkAlwaysOn() {
  static bool marked = false;
  const bool any_named = always_on_databases != nullptr && always_on_databases[0] != '\0';
  if (!any_named && !marked) return;
  StartTransactionCommand();
  List* databases = any_named ? AlwaysOnDatabases() : NIL;
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    for (int i = 0; i < max_databases; ++i) DatabaseAt(i)->always_on = false;
    ForEachNamed(databases, [](NamedDatabase* named) {
      if (!OidIsValid(named->oid)) return;
      DatabaseShared* slot = FindOrAddDatabase(named->oid);
      named->has_room = slot != nullptr;
      if (named->has_room) slot->always_on = true;
    });
  });
  WarnOfLeftOut(databases);
  marked = databases != NIL;
  CommitTransactionCommand();
}

// Who drops a database frees its slot, but not while a consumer is still about to end, nor if the
// slot came back before that was committed.
void FreeDroppedDatabases() {
  StartTransactionCommand();
  for (int i = 0; i < max_databases; ++i) {
    const Oid database = DatabaseAt(i)->database.Load();
    if (OidIsValid(database) && !AnyProcess(*DatabaseAt(i)) &&
        !SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database)))
      ForgetDatabase(database);
  }
  CommitTransactionCommand();
}

BackgroundWorkerHandle** LaunchedAs(const ConsumerShared& consumer) {
  return &launched[consumer.database * kMaxConsumers + consumer.index];
}

BackgroundWorker Describe(ConsumerKind kind) {
  switch (kind) {
    case ConsumerKind::kDecoder:
      return DescribeWorker("live_queries_decoder_main", "live_queries decoder");
    case ConsumerKind::kEvaluator:
      return DescribeWorker("live_queries_evaluator_main", "live_queries evaluator");
    case ConsumerKind::kRefresher:
      return DescribeWorker("live_queries_evaluator_main", "live_queries refresher");
  }
  pg_unreachable();
}

void Launch(ConsumerShared* consumer) {
  LIVE_QUERIES_FAULT("launcher-launch");
  BackgroundWorkerHandle** handle = LaunchedAs(*consumer);
  BackgroundWorker worker = Describe(consumer->kind);
  worker.bgw_restart_time = BGW_NEVER_RESTART;
  worker.bgw_main_arg = Int32GetDatum(static_cast<int32>(handle - launched));
  worker.bgw_notify_pid = MyProcPid;
  snprintf(worker.bgw_name, sizeof(worker.bgw_name), "%s for database %u", worker.bgw_type,
           DatabaseAt(consumer->database)->database.Load());
  if (*handle != nullptr) pfree(*handle);
  *handle = nullptr;
  const bool registered = InMemoryContext(
      TopMemoryContext, [&] { return RegisterDynamicBackgroundWorker(&worker, handle); });
  if (registered) return;
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    consumer->state.Store(ConsumerState::kStopped);
    consumer->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 5000);
    consumer->problem.Set(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
                          "no background worker is free for the decoder of live_queries",
                          "Raise max_worker_processes.");
  });
  ConditionVariableBroadcast(&consumer->progress);
}

bool IsLaunched(const ConsumerShared& consumer) {
  return consumer.state.Load() == ConsumerState::kLaunched && consumer.pid.Load() == 0;
}

// One that ended before it could tell, or was not even started, leaves its place launched.
void NoticeLostLaunch(ConsumerShared* consumer) {
  BackgroundWorkerHandle* handle = *LaunchedAs(*consumer);
  pid_t pid;
  if (handle == nullptr || !IsLaunched(*consumer) ||
      GetBackgroundWorkerPid(handle, &pid) != BGWH_STOPPED)
    return;
  const bool lost = WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    if (!IsLaunched(*consumer)) return false;
    consumer->state.Store(ConsumerState::kStopped);
    consumer->problem.Set(ERRCODE_INSUFFICIENT_RESOURCES,
                          "the decoder of live_queries could not be started",
                          "The server's log may say why.");
    NoteFailure(consumer);
    return true;
  });
  if (lost) ConditionVariableBroadcast(&consumer->progress);
}

// An earlier launcher may have died before it could ask for what it meant to launch. If it has
// asked, that worker goes away by itself.
void ForgetEarlierLaunches() {
  WithLock(ControlLock(), LW_EXCLUSIVE, [] {
    for (int i = 0; i < max_databases; ++i)
      for (ConsumerShared& consumer : DatabaseAt(i)->consumers)
        if (IsLaunched(consumer)) consumer.state.Store(ConsumerState::kStopped);
  });
}

// Whether it is to be launched now. If it has to wait, the next pass comes soon.
bool IsDue(const DatabaseShared& database, const ConsumerShared& consumer, long* sleep_ms) {
  const TimestampTz now = GetCurrentTimestamp();
  if (!OidIsValid(database.database.Load()) || !IsIdle(consumer)) return false;
  if (now < consumer.retry_at || now < database.suspended_until.Load()) {
    *sleep_ms = kRetrySoonMs;
    return false;
  }
  return IsWanted(database, consumer, now);
}

void LaunchIfDue(DatabaseShared* database, ConsumerShared* consumer, long* sleep_ms) {
  NoticeLostLaunch(consumer);
  const bool launch = WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    if (!IsDue(*database, *consumer, sleep_ms)) return false;
    consumer->state.Store(ConsumerState::kLaunched);
    consumer->started_at = GetCurrentTimestamp();
    return true;
  });
  if (launch) Launch(consumer);
}

// One pass over all databases; returns how long to sleep.
long Pass() {
  long sleep_ms = kPassMs;
  FreeDroppedDatabases();
  for (int i = 0; i < max_databases; ++i) {
    DatabaseShared* database = DatabaseAt(i);
    TerminateDropped(database);
    for (ConsumerShared& consumer : database->consumers)
      LaunchIfDue(database, &consumer, &sleep_ms);
  }
  return sleep_ms;
}

void Run() {
  AcceptSignals();
  BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
  before_shmem_exit(OnExit, 0);
  launched = static_cast<BackgroundWorkerHandle**>(
      MemoryContextAllocZero(TopMemoryContext, sizeof(*launched) * max_databases * kMaxConsumers));
  Control()->launcher_proc.Store(ProcIndex(MyProc));
  LIVE_QUERIES_FAULT("launcher-started");
  ForgetEarlierLaunches();
  for (;;) {
    HeadOfLoop();
    MarkAlwaysOn();
    SleepUntilWoken(Pass(), WaitEventLauncherMain());
  }
}

}  // namespace

void RegisterLauncher() {
  BackgroundWorker worker = DescribeWorker("live_queries_launcher_main", kLauncherName);
  worker.bgw_restart_time = 1;
  strlcpy(worker.bgw_name, kLauncherName, sizeof(worker.bgw_name));
  RegisterBackgroundWorker(&worker);
  registered = IsRegisteredWorker(kLauncherName);
}

bool LauncherIsRegistered() { return registered; }

}  // namespace live_queries

void live_queries_launcher_main(Datum) { live_queries::Run(); }
