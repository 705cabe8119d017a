// The decoder's replication slot and its way through the log. Called by the decoder's loop
// (worker/decoder.cpp); what is decoded arrives at the output plugin. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/xlogdefs.h"
#include "access/xlogreader.h"
}

namespace live_queries {

// Creates the temporary slot `name` and finds where decoding can start: behind the end of all
// transactions that run now, for which it waits. Outside a transaction; may ereport (no free slot).
void OpenWalStream(const char* name);

// Decodes the next record. False if none is flushed yet; never waits.
bool DecodeNextRecord();

// The last record decoded, until the next one is, and its end.
const XLogReaderState* StreamReader();
XLogRecPtr StreamPosition();

// Lets go of the log before `position`.
void ConfirmPosition(XLogRecPtr position);

}  // namespace live_queries
