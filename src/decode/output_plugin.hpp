// The output plugin: the server's logical decoding calls it for each change of a transaction, once
// that has committed, under the historic snapshot of its catalogs, where no user code may run. It
// copies the rows of watched tables into change batches, and does nothing else. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Allows the plugin to run in this process, with its memory below `context`.
void PreparePlugin(MemoryContext context);

// What was counted since the last call.
struct PluginCounters {
  uint64 changes_decoded;
  uint64 changes_ignored;
};
PluginCounters TakePluginCounters();

}  // namespace live_queries
