// Puts staged records into a block of a mailbox, in shared memory: a body that many records have is
// there once, and held by the block; others stand in their records. Called by mailbox.cpp. Process:
// a consumer.
#pragma once

#include <span>

#include "deliver/staged_body.hpp"
#include "pg/postgres.hpp"
#include "registry/connection.hpp"

namespace live_queries {

// All of them, as the last block of the lane of that consumer; or none, and false, where they
// exceed a limit or there is no memory. The caller holds the connection's lock. May ereport: then
// none.
bool PutInMemory(ConnectionShared* connection, int consumer, std::span<const StagedRecord> records);

}  // namespace live_queries
