// The output plugin: copies rows of watched tables into change batches, and does nothing else. It
// runs under the historic snapshot of logical decoding, where no user code may run. Process:
// decoder.
#pragma once

#include "decode/change_batch.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Allows the plugin to run in this process, with its memory below `context`. `note_commit` hears of
// each decoded transaction, those without a change of a watched table included.
void PreparePlugin(MemoryContext context, void (*note_commit)(TransactionId xid));

// The tables to copy rows of; counted, so each Watch (in a transaction) has its Unwatch.
void WatchTable(Oid relation);
void UnwatchTable(Oid relation);

// The decoded transactions that wait for their evaluation, oldest first; the caller owns what it
// takes.
ChangeBatch* FirstReadyBatch();
void RemoveFirstReadyBatch();
// Frees those that the callers of logical decoding left unfinished (after an error).
void DiscardBatches();

// Whether a transaction that was decoded since the last call has changed a catalog.
bool TakeCatalogsChanged();

// What waits, in bytes and transactions.
size_t ReadyBytes();
uint64 ReadyCount();

// Counters since the start.
struct PluginCounters {
  uint64 changes_decoded;
  uint64 changes_ignored;
};
PluginCounters TakePluginCounters();

// Frees the shapes that no table has any more, if they have become many and no batch is waiting.
void FreeUnusedShapes();
// Another one whenever shapes have been freed.
uint32 ShapeGeneration();

}  // namespace live_queries
