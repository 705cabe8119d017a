// What a consumer has for each connection and not published yet. Filled by a strategy through its
// sink; published or abandoned by worker/evaluation.cpp, once for each group of transactions.
// Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "template/sink.hpp"

namespace live_queries {

// Prepares the outboxes of all connections, below `context`.
void PrepareOutboxes(MemoryContext context);

// Stages what a strategy finds out: a record for each subscriber that listens. Large ones go to the
// spill file at once.
extern const Sink kOutboxSink;

// What is staged from here on belongs to another group: of one transaction, or of what is told as
// one.
void BeginGroup();

// Publishes what is staged, each connection's at once, and wakes them. Returns the number of
// records. Never leaves anything staged.
uint64 PublishStaged();
// Forgets what is staged.
void AbandonStaged();

// Frees what is kept for connections that have ended since, and closes their spill files. To be
// called now and then, with nothing staged.
void ForgetEndedConnections();

}  // namespace live_queries
