// The server's hooks that more than one part of the module takes: each hands on to whoever had it
// before. Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "catalog/objectaccess.h"
#include "tcop/utility.h"
}

namespace live_queries {

// A call of ProcessUtility_hook.
struct UtilityCall {
  ProcessUtility_hook_type previous;
  PlannedStmt* planned;
  const char* text;
  bool read_only_tree;
  ProcessUtilityContext context;
  ParamListInfo params;
  QueryEnvironment* environment;
  DestReceiver* receiver;
  QueryCompletion* completion;

  const Node* statement() const { return planned->utilityStmt; }
  // Runs the command.
  void Run() const {
    const ProcessUtility_hook_type run = previous != nullptr ? previous : standard_ProcessUtility;
    run(planned, text, read_only_tree, context, params, environment, receiver, completion);
  }
};

// From now on `handle` gets each command, and runs it.
template <void (*handle)(const UtilityCall&)>
class HookUtility {
 public:
  static void Install() {
    previous_ = ProcessUtility_hook;
    ProcessUtility_hook = Run;
  }

 private:
  static void Run(PlannedStmt* planned, const char* text, bool read_only_tree,
                  ProcessUtilityContext context, ParamListInfo params,
                  QueryEnvironment* environment, DestReceiver* receiver,
                  QueryCompletion* completion) {
    handle({previous_, planned, text, read_only_tree, context, params, environment, receiver,
            completion});
  }

  static inline ProcessUtility_hook_type previous_ = nullptr;
};

// From now on `note` is told of each access to an object, before whoever had the hook.
template <void (*note)(ObjectAccessType access, Oid catalog, Oid object)>
class HookObjectAccess {
 public:
  static void Install() {
    previous_ = object_access_hook;
    object_access_hook = Run;
  }

 private:
  static void Run(ObjectAccessType access, Oid catalog, Oid object, int part, void* argument) {
    note(access, catalog, object);
    if (previous_ != nullptr) previous_(access, catalog, object, part, argument);
  }

  static inline object_access_hook_type previous_ = nullptr;
};

}  // namespace live_queries
