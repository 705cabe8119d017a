// The decoder of one database: from the log to the mailboxes. worker/README.md draws its states.
// Process: decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
PGDLLEXPORT void live_queries_decoder_main(Datum argument);
}
