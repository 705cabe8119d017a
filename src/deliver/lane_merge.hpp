// The lanes of this connection, read as one: record by record in the order of the log, up to where
// all consumers are that it has live queries of. README.md says why that is enough. Called by
// dispatch.cpp. Process: client backend.
#pragma once

#include "deliver/lane_reader.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// A delivery begins: what an earlier one has left, by an error or beyond the bound, comes first.
void BeginLanes();

// A round of it: looks how far the consumers are, and takes what has come. What one has lost that
// has ended, or what cannot be read, is noted for the subscriptions of its lane (NoteLost): `*lost`
// becomes true, and they are to be told before anything else is. May ereport.
void BeginRound(ConnectionShared* connection, bool* lost);

// Everything up to this position that is told from here on is one point; 0: each record's own. An
// evaluator tells at once what a batch of transactions has changed, so what streams have told of
// these shows no point that it shows as well, until the end of the batch.
uint64_t CommonPoint();

// The lane whose record is the oldest; nullptr if none is left up to the bound. May ereport.
LaneReader* OldestLane(ConnectionShared* connection, bool* lost);
// That record is about to be handled.
void NotePassed(const LaneReader& lane);

// A first result that was read shows that position, and its subscription is about to lie still.
void NoteShown(Delivery delivery, uint64_t position);
// The greatest of these positions of what is notified.
uint64_t ShownByStill();

// After the last record: whether what is left, if anything, has to wait for a consumer, which then
// wakes this backend. If not, another round may tell it, as it may what has come without a wake-up.
bool LanesAreDone();

// The delivery has come to its end.
void EndLanes();

// Whether a delivery would find something in the inboxes: what an error has left, or what waited
// for consumers that have come there. Never ereports.
bool LanesAreWaiting();

// Throws away what was taken out of the mailbox, and what can be taken now.
void DiscardLanes(ConnectionShared* connection);

// At the exit of the backend: frees what was taken. Never ereports.
void FreeInboxes(int, Datum);

}  // namespace live_queries
