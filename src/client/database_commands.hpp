// Commands that need a database for themselves: DROP DATABASE, RENAME, SET TABLESPACE, and CREATE
// DATABASE of its template. The decoder of that database makes way for those that will succeed.
// Process: any that executes commands.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "tcop/utility.h"
}

namespace live_queries {

// A command of that kind, or none.
struct DatabaseCommand {
  enum class Kind : uint8_t { kNone, kDrop, kRename, kMove, kCopy };
  Kind kind;
  const Node* statement;
  const char* name;
  Oid database;    // InvalidOid: the command has nothing to do with us
  bool top_level;  // it may commit transactions of its own
  bool suspended;  // no decoder starts until FinishDatabaseCommand
};

// Recognises `statement`, and lets the decoder of its database go unless the server is going to
// refuse it anyway. Waits for other sessions to go, as the command itself does, and raises the same
// 55006 if they stay.
DatabaseCommand PrepareDatabaseCommand(const Node* statement, ProcessUtilityContext context);

// After the command has succeeded: what is known of a database that it has dropped is forgotten.
void ForgetDroppedDatabase(const DatabaseCommand& command);

// However it ended: the decoder may start again, and does so at once if it is wanted.
void FinishDatabaseCommand(const DatabaseCommand& command);

}  // namespace live_queries
