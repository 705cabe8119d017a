// Progress: for sessions that ask for it (live_queries.progress_interval), a message now and then
// that says up to where all has been told, and which transactions are in that. So an application
// knows when its own write is in what it shows, also where that has changed nothing. Process:
// client backend.
#pragma once

#include <string_view>

#include "model/flow_control.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// At pre-commit, in a transaction: delivers (client/session.hpp), and notifies of progress.
void DeliverAndNotifyProgress();
// Whether that is to be called, since nothing else would lead to the next message: after a
// transaction that did not deliver, or (`aborted`) an error, which has stopped all timers. Never
// ereports.
bool ProgressWaitsForNothing(bool aborted);

// For live.poll, where nothing listens to notifications. Asked before it delivers: whether what it
// finds then is all up to the position of the next message.
bool ProgressIsReached();
// That message, in CurrentMemoryContext, once nothing else is left to poll. Then `point`, what has
// been polled, is where all has been told up to.
std::string_view TakeProgress(Point* point);
// How many milliseconds live.poll may sleep: less than `most`, if the next message is due earlier.
int64 SleepForProgress(int64 most);

}  // namespace live_queries
