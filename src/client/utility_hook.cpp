// The hooks on commands and on objects that are dropped, and what has to wait for the end of the
// transaction that does so (DROP EXTENSION). Called by the server. Process: any that executes
// commands.
#include "client/utility_hook.hpp"

#include "client/commit_wakeup.hpp"
#include "client/database_commands.hpp"
#include "client/session.hpp"
#include "deliver/permission.hpp"
#include "pg/hooks.hpp"
#include "pg/try_catch.hpp"
#include "registry/connection.hpp"
#include "registry/ending.hpp"
#include "registry/shared_memory.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/async.h"
#include "commands/extension.h"
}

namespace live_queries {
namespace {

bool extension_dropped = false;  // by the running transaction
SubTransactionId dropped_in = InvalidSubTransactionId;

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

// Messages have nowhere to go. But what belongs to others stays where a function of another role
// has closed the channel.
void EndWithChannel() {
  const bool listened = IsListening();
  SetListening(false);
  if (IsSessionItself()) {
    (void)UnsubscribeAllAtCommit(Whose::kAnybodys);
    return;
  }
  (void)UnsubscribeAllAtCommit(Whose::kActedFor);
  if (!listened) return;
  Async_Listen(MyConnectionIfAny()->channel);
  SetListening(true);
}

bool IsTransactionStatement(const Node* statement, TransactionStmtKind kind) {
  return nodeTag(statement) == T_TransactionStmt &&
         reinterpret_cast<const TransactionStmt*>(statement)->kind == kind;
}

void OnUtility(const UtilityCall& call) {
  const Node* statement = call.statement();
  if (IsTransactionStatement(statement, TRANS_STMT_COMMIT_PREPARED)) NoteCommitPrepared();
  // The statement may be gone once it has run (ROLLBACK does that).
  const bool closes_channel = ClosesChannel(statement);
  const bool prepares = IsTransactionStatement(statement, TRANS_STMT_PREPARE);
  const DatabaseCommand command = PrepareDatabaseCommand(statement, call.context);
  if (!command.suspended) {
    call.Run();
    ForgetDroppedDatabase(command);
    if (closes_channel) EndWithChannel();
    // Now that an error ends the transaction, and before the server looks at cursors: it would
    // speak of a snapshot's, which nobody has declared.
    if (prepares) RefusePrepare();
    return;
  }
  // Forgotten while it is suspended still: the launcher must not start a decoder for what is gone.
  TryFinally(
      [&] {
        call.Run();
        ForgetDroppedDatabase(command);
      },
      [&] { FinishDatabaseCommand(command); });
}

void OnObjectAccess(ObjectAccessType access, Oid catalog, Oid object) {
  if (access != OAT_DROP || catalog != ExtensionRelationId) return;
  const char* name = get_extension_name(object);
  if (name == nullptr || strcmp(name, "live_queries") != 0) return;
  // Dropped, made and dropped again: it is gone as long as the first holds.
  if (extension_dropped) return;
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
  HookUtility<OnUtility>::Install();
  HookObjectAccess<OnObjectAccess>::Install();
  RegisterXactCallback(OnTransaction, nullptr);
  RegisterSubXactCallback(OnSubtransaction, nullptr);
}

}  // namespace live_queries
