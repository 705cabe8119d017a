// What is to be known of a command before its database's decoder is touched: stopping one is not
// free, since with an old transaction open it cannot start again soon. So the conditions under
// which the server refuses the command (dbcommands.c) come first, and rights are the first of them.
// Process: any that executes commands.
#include "client/database_commands.hpp"

#include <csignal>

#include "pg/compat.hpp"
#include "pg/compat_decoding.hpp"
#include "pg/locks.hpp"
#include "pg/try_catch.hpp"
#include "registry/connection.hpp"
#include "registry/shared_memory.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/twophase.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_tablespace.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

using Kind = DatabaseCommand::Kind;

constexpr int kSuspendMs = 10 * 1000;
constexpr int kPatienceMs = 300;  // for the decoder to stop by itself
constexpr int kStopWaitMs = 5 * 1000;
// As long as the server waits for sessions that are about to end (CountOtherDBBackends).
constexpr int kTries = 50;
constexpr long kTryUs = 100 * 1000L;

DefElem* FindOption(List* options, const char* name) {
  ListCell* cell;
  foreach (cell, options) {
    DefElem* option = lfirst_node(DefElem, cell);
    if (strcmp(option->defname, name) == 0 && option->arg != nullptr) return option;
  }
  return nullptr;
}

const char* OptionText(List* options, const char* name) {
  DefElem* option = FindOption(options, name);
  return option == nullptr ? nullptr : defGetString(option);
}

bool IsForced(const DropdbStmt* drop) {
  ListCell* cell;
  foreach (cell, drop->options)
    if (strcmp(lfirst_node(DefElem, cell)->defname, "force") == 0) return true;
  return false;
}

DatabaseCommand Recognise(const Node* statement, ProcessUtilityContext context) {
  DatabaseCommand command = {Kind::kNone, statement, nullptr, InvalidOid, false, false};
  command.top_level = context == PROCESS_UTILITY_TOPLEVEL;
  switch (nodeTag(statement)) {
    case T_DropdbStmt:
      command.kind = Kind::kDrop;
      command.name = reinterpret_cast<const DropdbStmt*>(statement)->dbname;
      break;
    case T_RenameStmt: {
      const RenameStmt* rename = reinterpret_cast<const RenameStmt*>(statement);
      if (rename->renameType != OBJECT_DATABASE) break;
      command.kind = Kind::kRename;
      command.name = rename->subname;
      break;
    }
    case T_AlterDatabaseStmt: {
      const AlterDatabaseStmt* alter = reinterpret_cast<const AlterDatabaseStmt*>(statement);
      if (FindOption(alter->options, "tablespace") == nullptr) break;
      command.kind = Kind::kMove;
      command.name = alter->dbname;
      break;
    }
    case T_CreatedbStmt: {
      command.kind = Kind::kCopy;
      List* options = reinterpret_cast<const CreatedbStmt*>(statement)->options;
      const char* source = OptionText(options, "template");
      command.name = source == nullptr ? "template1" : source;
      break;
    }
    default:
      break;
  }
  return command;
}

// Whether `pid` is one of our workers in the database. They go before the command does.
bool IsOurs(Oid database, pid_t pid) {
  const DatabaseShared* slot = FindDatabase(database);
  return slot != nullptr && IsConsumerOf(*slot, pid);
}

bool AnyOfOurs(Oid database) {
  const DatabaseShared* slot = FindDatabase(database);
  return slot != nullptr && AnyProcess(*slot);
}

bool IsWatched(Oid database) {
  const DatabaseShared* slot = FindDatabase(database);
  return slot != nullptr && CountSubscriptions(*slot) > 0;
}

// ----- what the server is going to refuse -----

bool MayCreateDatabases() {
  if (superuser()) return true;
  HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
  if (!HeapTupleIsValid(tuple)) return false;
  const bool may = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple))->rolcreatedb;
  ReleaseSysCache(tuple);
  return may;
}

struct DatabaseFacts {
  bool exists;
  bool is_template;
  Oid tablespace;
};

DatabaseFacts FactsOf(Oid database) {
  HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
  if (!HeapTupleIsValid(tuple)) return {false, false, InvalidOid};
  const Form_pg_database row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
  const DatabaseFacts facts = {true, row->datistemplate, row->dattablespace};
  ReleaseSysCache(tuple);
  return facts;
}

bool MayUseTablespace(Oid tablespace) {
  return OidIsValid(tablespace) && tablespace != GLOBALTABLESPACE_OID &&
         MayCreateInTablespace(tablespace);
}

// Whether another active logical slot of the database is in the way of DROP DATABASE.
bool HasForeignSlot(Oid database) {
  bool found = false;
  LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
  for (int i = 0; i < max_replication_slots; ++i) {
    const ReplicationSlot* slot = &ReplicationSlotCtl->replication_slots[i];
    found = found || (slot->in_use && slot->data.database == database && UserOfSlot(*slot) != 0 &&
                      !IsOurs(database, UserOfSlot(*slot)));
  }
  LWLockRelease(ReplicationSlotControlLock);
  return found;
}

// Visits each session, and each prepared transaction (pid 0), of the database but this one. The
// places of processes that have ended still have what they had.
template <class Visit>
void ForEachUser(Oid database, Visit&& visit) {
  const uint32 count = ProcGlobal->allProcCount + static_cast<uint32>(max_prepared_xacts);
  for (uint32 i = 0; i < count; ++i) {
    const PGPROC* proc = &ProcGlobal->allProcs[i];
    if (proc->databaseId != database || proc == MyProc) continue;
    // Once: the process may end.
    const pid_t pid = proc->pid;
    const TransactionId xid = proc->xid;
    const bool lives = pid != 0 ? BackendPidGetProc(pid) == proc
                                : TransactionIdIsNormal(xid) && TransactionIdIsInProgress(xid);
    if (lives) visit(*proc, pid);
  }
}

bool DropIsRefused(const DatabaseCommand& command, const DatabaseFacts& facts) {
  return IsInTransactionBlock(command.top_level) || !OwnsDatabase(command.database) ||
         facts.is_template || command.database == MyDatabaseId ||
         HasForeignSlot(command.database) || CountDBSubscriptions(command.database) > 0;
}

bool RenameIsRefused(const DatabaseCommand& command) {
  const RenameStmt* rename = reinterpret_cast<const RenameStmt*>(command.statement);
  return !OwnsDatabase(command.database) || !MayCreateDatabases() ||
         command.database == MyDatabaseId || OidIsValid(get_database_oid(rename->newname, true));
}

// To where it is already: nothing is done.
bool MoveIsRefused(const DatabaseCommand& command, const DatabaseFacts& facts) {
  const AlterDatabaseStmt* alter = reinterpret_cast<const AlterDatabaseStmt*>(command.statement);
  const Oid tablespace = get_tablespace_oid(OptionText(alter->options, "tablespace"), true);
  return IsInTransactionBlock(command.top_level) || list_length(alter->options) != 1 ||
         !OwnsDatabase(command.database) || command.database == MyDatabaseId ||
         !MayUseTablespace(tablespace) || tablespace == facts.tablespace;
}

bool CopyIsRefused(const DatabaseCommand& command, const DatabaseFacts& facts) {
  const CreatedbStmt* create = reinterpret_cast<const CreatedbStmt*>(command.statement);
  if (IsInTransactionBlock(command.top_level) || !MayCreateDatabases() ||
      (!facts.is_template && !OwnsDatabase(command.database)) ||
      OidIsValid(get_database_oid(create->dbname, true)))
    return true;
  const char* owner = OptionText(create->options, "owner");
  const Oid owner_role = owner == nullptr ? GetUserId() : get_role_oid(owner, true);
  const char* tablespace = OptionText(create->options, "tablespace");
  return !OidIsValid(owner_role) || !MaySetRole(GetUserId(), owner_role) ||
         (tablespace != nullptr && !MayUseTablespace(get_tablespace_oid(tablespace, true)));
}

bool IsRefused(const DatabaseCommand& command) {
  const DatabaseFacts facts = FactsOf(command.database);
  if (!facts.exists || XactReadOnly) return true;
  switch (command.kind) {
    case Kind::kDrop:
      return DropIsRefused(command, facts);
    case Kind::kRename:
      return RenameIsRefused(command);
    case Kind::kMove:
      return MoveIsRefused(command, facts);
    case Kind::kCopy:
      return CopyIsRefused(command, facts);
    case Kind::kNone:
      break;
  }
  return true;
}

// ----- waiting for others to go -----

struct Users {
  int sessions;
  int prepared;
  bool none() const { return sessions == 0 && prepared == 0; }
};

// Those that are there but for our workers. Autovacuum makes way for the command.
Users CountUsers(Oid database) {
  Users users = {0, 0};
  ForEachUser(database, [&](const PGPROC& proc, pid_t pid) {
    if (pid == 0) {
      ++users.prepared;
    } else if (!IsOurs(database, pid)) {
      ++users.sessions;
      if (proc.statusFlags & PROC_IS_AUTOVACUUM) (void)kill(pid, SIGTERM);
    }
  });
  return users;
}

// A session that is about to end still counts, with its subscriptions.
Users WaitForUsers(Oid database) {
  for (int tries = 0;; ++tries) {
    CHECK_FOR_INTERRUPTS();
    const Users users = CountUsers(database);
    if (users.none() || tries == kTries) return users;
    pg_usleep(kTryUs);
  }
}

// The detail that dbcommands.c gives.
int DetailOfUsers(const Users& users) {
  if (users.sessions > 0 && users.prepared > 0)
    return errdetail(
        "There are %d other session(s) and %d prepared transaction(s) using the database.",
        users.sessions, users.prepared);
  if (users.sessions > 0)
    return errdetail_plural("There is %d other session using the database.",
                            "There are %d other sessions using the database.",
                            static_cast<unsigned long>(users.sessions), users.sessions);
  return errdetail_plural("There is %d prepared transaction using the database.",
                          "There are %d prepared transactions using the database.",
                          static_cast<unsigned long>(users.prepared), users.prepared);
}

// Where the decoder has to be left to those whom it serves, the error is the one that the server
// gives while they are connected. By itself it would blame the decoder or its slot.
void RequireNoUsers(const DatabaseCommand& command) {
  const Users users = WaitForUsers(command.database);
  // A session may copy the database that it is in, but not one that it watches.
  if (users.none() && !IsWatched(command.database)) return;
  ereport(ERROR, errcode(ERRCODE_OBJECT_IN_USE),
          command.kind == Kind::kCopy
              ? errmsg("source database \"%s\" is being accessed by other users", command.name)
              : errmsg("database \"%s\" is being accessed by other users", command.name),
          users.none() ? errdetail("This session has live queries in the database.")
                       : DetailOfUsers(users));
}

// FORCE ends those whom the role may end (TerminateOtherDBBackends). By itself the server would
// blame the decoder's slot first.
void RequireMayForce(const DatabaseCommand& command) {
  Users users = {0, 0};
  bool superusers = false;
  bool others = false;
  ForEachUser(command.database, [&](const PGPROC& proc, pid_t pid) {
    if (pid == 0) ++users.prepared;
    if (pid == 0 || IsOurs(command.database, pid)) return;
    superusers = superusers || (superuser_arg(proc.roleId) && !superuser());
    others = others || (!has_privs_of_role(GetUserId(), proc.roleId) &&
                        !has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND));
  });
  if (users.prepared > 0)
    ereport(ERROR, errcode(ERRCODE_OBJECT_IN_USE),
            errmsg("database \"%s\" is being used by prepared transactions", command.name),
            DetailOfUsers(users));
  if (superusers || others)
    ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
            errmsg("permission denied to end the other sessions of database \"%s\"", command.name),
            superusers
                ? errdetail("Only a superuser may end sessions of superusers.")
                : errdetail("Only members of their roles, and of pg_signal_backend, may do so."));
}

// ----- our workers -----

// As the command will do, and as early: from now on nobody connects to the database. False if its
// name has changed meanwhile.
bool LockDatabase(const DatabaseCommand& command) {
  if (command.kind != Kind::kCopy) LockRelationOid(DatabaseRelationId, RowExclusiveLock);
  LockSharedObject(DatabaseRelationId, command.database, 0,
                   command.kind == Kind::kCopy ? ShareLock : AccessExclusiveLock);
  return get_database_oid(command.name, true) == command.database;
}

void Stop(ConsumerShared* consumer, TimestampTz start) {
  bool terminated = false;
  ConditionVariablePrepareToSleep(&consumer->progress);
  for (;;) {
    const pid_t pid = consumer->pid.Load();
    const TimestampTz now = GetCurrentTimestamp();
    if (pid == 0 || TimestampDifferenceExceeds(start, now, kStopWaitMs)) break;
    // It waits for older transactions before it can start, or replays a large one.
    if (!terminated && TimestampDifferenceExceeds(start, now, kPatienceMs)) {
      (void)kill(pid, SIGTERM);
      terminated = true;
    }
    (void)ConditionVariableTimedSleep(&consumer->progress, 100, WaitEventDecoderStop());
  }
  ConditionVariableCancelSleep();
}

void StopConsumers(DatabaseShared* slot) {
  const TimestampTz start = GetCurrentTimestamp();
  WakeConsumers(*slot);
  for (ConsumerShared& consumer : slot->consumers) Stop(&consumer, start);
}

// The slot stays the database's while it is suspended.
DatabaseShared* Suspend(Oid database) {
  return WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    DatabaseShared* slot = FindDatabase(database);
    if (slot != nullptr)
      slot->suspended_until.Store(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kSuspendMs));
    return slot;
  });
}

}  // namespace

DatabaseCommand PrepareDatabaseCommand(const Node* statement, ProcessUtilityContext context) {
  DatabaseCommand command = Recognise(statement, context);
  if (command.kind == Kind::kNone || !IsTransactionState()) return command;
  command.database = get_database_oid(command.name, true);
  if (!OidIsValid(command.database) || FindDatabase(command.database) == nullptr ||
      IsRefused(command) || !LockDatabase(command))
    return command;
  const bool forced = command.kind == Kind::kDrop &&
                      IsForced(reinterpret_cast<const DropdbStmt*>(command.statement));
  // Without one of ours the server itself says who is in the way.
  if (AnyOfOurs(command.database)) {
    if (forced)
      RequireMayForce(command);
    else
      RequireNoUsers(command);
  }
  if (DatabaseShared* slot = Suspend(command.database)) {
    command.suspended = true;
    TryCatch(
        CurrentMemoryContext, [&] { StopConsumers(slot); },
        [&](ErrorData* error) {
          FinishDatabaseCommand(command);
          ReThrowError(error);
        });
  }
  return command;
}

void ForgetDroppedDatabase(const DatabaseCommand& command) {
  if (command.kind != Kind::kDrop || !OidIsValid(command.database) ||
      FactsOf(command.database).exists)
    return;
  ForgetDatabase(command.database);
}

void FinishDatabaseCommand(const DatabaseCommand& command) {
  if (!command.suspended) return;
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    DatabaseShared* slot = FindDatabase(command.database);
    if (slot == nullptr) return;
    slot->suspended_until.Store(0);
    // Their end was asked for, if need be by a signal.
    for (ConsumerShared& consumer : slot->consumers) {
      consumer.failures = 0;
      consumer.retry_at = 0;
    }
  });
  WakeLauncher();
}

}  // namespace live_queries
