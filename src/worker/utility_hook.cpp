// The hooks. Process: any that executes commands.
#include "worker/utility_hook.hpp"

#include <csignal>

#include "deliver/session.hpp"
#include "pg/compat.hpp"
#include "pg/locks.hpp"
#include "pg/try_catch.hpp"
#include "registry/connection.hpp"
#include "registry/shared_memory.hpp"
#include "worker/commit_wakeup.hpp"
#include "worker/termination.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "storage/latch.h"
#include "tcop/utility.h"
}

namespace live_queries {
namespace {

constexpr int kSuspendMs = 10 * 1000;
constexpr int kPatienceMs = 300;  // for the decoder to stop by itself
constexpr int kStopWaitMs = 5 * 1000;

ProcessUtility_hook_type previous_utility_hook = nullptr;
object_access_hook_type previous_object_access_hook = nullptr;
bool extension_dropped = false;  // by the running transaction
SubTransactionId dropped_in = InvalidSubTransactionId;

// The database that nobody may be connected to while `statement` runs, and whether its subscribers
// go away with it.
struct Exclusive {
  const char* database;
  bool forced;
};

Exclusive NeedsExclusive(const Node* statement) {
  switch (nodeTag(statement)) {
    case T_DropdbStmt: {
      const DropdbStmt* drop = reinterpret_cast<const DropdbStmt*>(statement);
      bool forced = false;
      ListCell* cell;
      foreach (cell, drop->options)
        forced = forced || strcmp(lfirst_node(DefElem, cell)->defname, "force") == 0;
      return {drop->dbname, forced};
    }
    case T_CreatedbStmt: {
      ListCell* cell;
      foreach (cell, reinterpret_cast<const CreatedbStmt*>(statement)->options) {
        DefElem* option = lfirst_node(DefElem, cell);
        if (strcmp(option->defname, "template") == 0 && option->arg != nullptr)
          return {defGetString(option), false};
      }
      return {"template1", false};
    }
    case T_RenameStmt: {
      const RenameStmt* rename = reinterpret_cast<const RenameStmt*>(statement);
      if (rename->renameType == OBJECT_DATABASE) return {rename->subname, false};
      return {nullptr, false};
    }
    case T_AlterDatabaseStmt:
      return {reinterpret_cast<const AlterDatabaseStmt*>(statement)->dbname, false};
    default:
      return {nullptr, false};
  }
}

// Lets the decoder of a database that nobody watches, or that is to be dropped by force, go.
DatabaseShared* SuspendDecoder(const Exclusive& exclusive) {
  if (exclusive.database == nullptr || !IsTransactionState()) return nullptr;
  const Oid oid = get_database_oid(exclusive.database, true);
  if (!OidIsValid(oid) || oid == MyDatabaseId) return nullptr;
  // An idle decoder may always be stopped; one with subscribers only for a command that will do so.
  const bool forced = exclusive.forced && OwnsDatabase(oid) && !IsTransactionBlock();
  DatabaseShared* database = WithLock(ControlLock(), LW_EXCLUSIVE, [&]() -> DatabaseShared* {
    DatabaseShared* found = FindDatabase(oid);
    if (found == nullptr || found->decoder_pid == 0) return nullptr;
    if (!forced && pg_atomic_read_u32(&found->subscriptions) > 0) return nullptr;
    found->suspended_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kSuspendMs);
    return found;
  });
  if (database == nullptr) return nullptr;
  WakeDecoder(database);
  const TimestampTz start = GetCurrentTimestamp();
  bool terminated = false;
  ConditionVariablePrepareToSleep(&database->progress);
  for (;;) {
    const pid_t pid = database->decoder_pid;
    const TimestampTz now = GetCurrentTimestamp();
    if (pid == 0 || TimestampDifferenceExceeds(start, now, kStopWaitMs)) break;
    // It waits for older transactions before it can start, or replays a large one.
    if (!terminated && TimestampDifferenceExceeds(start, now, kPatienceMs)) {
      kill(pid, SIGTERM);
      terminated = true;
    }
    (void)ConditionVariableTimedSleep(&database->progress, 100, WaitEventDecoderStop());
  }
  ConditionVariableCancelSleep();
  return database;
}

void ResumeDecoder(DatabaseShared* database) {
  if (database == nullptr) return;
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] { database->suspended_until = 0; });
  WakeLauncher();
}

// A database that was dropped needs no slot any more.
void ForgetDroppedDatabase(DatabaseShared* database, const Exclusive& exclusive) {
  if (database == nullptr || OidIsValid(get_database_oid(exclusive.database, true))) return;
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    if (database->decoder_pid == 0 && pg_atomic_read_u32(&database->subscriptions) == 0)
      database->database = InvalidOid;
  });
}

// Whether after `statement` the connection no longer listens to its channel.
bool ClosesChannel(const Node* statement) {
  const ConnectionShared* connection = MyConnectionIfAny();
  if (connection == nullptr) return false;
  bool ends = false;
  if (nodeTag(statement) == T_UnlistenStmt) {
    const char* channel = reinterpret_cast<const UnlistenStmt*>(statement)->conditionname;
    ends = channel == nullptr || strcmp(channel, connection->channel) == 0;
  } else if (nodeTag(statement) == T_DiscardStmt) {
    ends = reinterpret_cast<const DiscardStmt*>(statement)->target == DISCARD_ALL;
  }
  return ends;
}

// Messages have nowhere to go.
void EndWithChannel() {
  (void)UnsubscribeAllAtCommit(Whose::kAnybodys);
  SetListening(false);
}

bool IsTransactionStatement(const Node* statement, TransactionStmtKind kind) {
  return nodeTag(statement) == T_TransactionStmt &&
         reinterpret_cast<const TransactionStmt*>(statement)->kind == kind;
}

void OnUtility(PlannedStmt* planned, const char* text, bool read_only_tree,
               ProcessUtilityContext context, ParamListInfo params, QueryEnvironment* environment,
               DestReceiver* receiver, QueryCompletion* completion) {
  const Node* statement = planned->utilityStmt;
  auto run = [&] {
    if (previous_utility_hook != nullptr)
      previous_utility_hook(planned, text, read_only_tree, context, params, environment, receiver,
                            completion);
    else
      standard_ProcessUtility(planned, text, read_only_tree, context, params, environment, receiver,
                              completion);
  };
  if (IsTransactionStatement(statement, TRANS_STMT_COMMIT_PREPARED)) NoteCommitPrepared();
  // The statement may be gone once it has run (ROLLBACK does that).
  const bool closes_channel = ClosesChannel(statement);
  const bool prepares = IsTransactionStatement(statement, TRANS_STMT_PREPARE);
  const Exclusive exclusive = NeedsExclusive(statement);
  DatabaseShared* suspended = SuspendDecoder(exclusive);
  if (suspended == nullptr) {
    run();
    if (closes_channel) EndWithChannel();
    // Now that an error ends the transaction, and before the server looks at cursors: it would
    // speak of a snapshot's, which nobody has declared.
    if (prepares) RefusePrepare();
    return;
  }
  // Forgotten while it is suspended still: the launcher must not start a decoder for what is gone.
  TryFinally(
      [&] {
        run();
        ForgetDroppedDatabase(suspended, exclusive);
      },
      [&] { ResumeDecoder(suspended); });
}

void OnObjectAccess(ObjectAccessType access, Oid catalog, Oid object, int part, void* argument) {
  if (previous_object_access_hook != nullptr)
    previous_object_access_hook(access, catalog, object, part, argument);
  if (access != OAT_DROP || catalog != ExtensionRelationId) return;
  const char* name = get_extension_name(object);
  if (name == nullptr || strcmp(name, "live_queries") != 0) return;
  extension_dropped = true;
  dropped_in = GetCurrentSubTransactionId();
}

void OnTransaction(XactEvent event, void*) {
  if (!extension_dropped) return;
  // Whoever commits it later would not know that its subscriptions are to end.
  if (event == XACT_EVENT_PRE_PREPARE)
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("cannot PREPARE a transaction that has dropped extension live_queries"));
  if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT) return;
  extension_dropped = false;
  if (event == XACT_EVENT_COMMIT) NoteExtensionDropped();
}

void OnSubtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void*) {
  if (!extension_dropped || dropped_in != mine) return;
  if (event == SUBXACT_EVENT_ABORT_SUB) extension_dropped = false;
  if (event == SUBXACT_EVENT_COMMIT_SUB) dropped_in = parent;
}

}  // namespace

void InstallUtilityHook() {
  previous_utility_hook = ProcessUtility_hook;
  ProcessUtility_hook = OnUtility;
  previous_object_access_hook = object_access_hook;
  object_access_hook = OnObjectAccess;
  RegisterXactCallback(OnTransaction, nullptr);
  RegisterSubXactCallback(OnSubtransaction, nullptr);
}

}  // namespace live_queries
