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
void HookUtility() {
  static ProcessUtility_hook_type previous = nullptr;
  previous = ProcessUtility_hook;
  ProcessUtility_hook = [](PlannedStmt* planned, const char* text, bool read_only_tree,
                           ProcessUtilityContext context, ParamListInfo params,
                           QueryEnvironment* environment, DestReceiver* receiver,
                           QueryCompletion* completion) {
    handle({previous, planned, text, read_only_tree, context, params, environment, receiver,
            completion});
  };
}

// From now on `note` is told of each access to an object, before whoever had the hook.
template <void (*note)(ObjectAccessType access, Oid catalog, Oid object)>
void HookObjectAccess() {
  static object_access_hook_type previous = nullptr;
  previous = object_access_hook;
  object_access_hook = [](ObjectAccessType access, Oid catalog, Oid object, int part,
                          void* argument) {
    note(access, catalog, object);
    if (previous != nullptr) previous(access, catalog, object, part, argument);
  };
}

}  // namespace live_queries
