// What all workers of the extension begin with and do in each turn of their loop: how the server is
// told of one, its signals, its wake-ups. Called by launcher.cpp and decoder.cpp. Process:
// postmaster (describes the launcher), launcher, decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace live_queries {

// A worker with a connection to a database, which runs `function` of this library; the caller adds
// its name and when it is started again.
BackgroundWorker DescribeWorker(const char* function, const char* type);

// SIGHUP and SIGTERM do what they do everywhere, and signals arrive from here on.
void AcceptSignals();

// The head of a worker's loop: whatever comes from here on wakes its next sleep; ends the process
// if it is asked to; reads the configuration again if that has changed.
void HeadOfLoop();

// Until its latch is set, or `timeout_ms` have passed.
void SleepUntilWoken(long timeout_ms, uint32 wait_event);

}  // namespace live_queries
