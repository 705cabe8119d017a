// Which subscriptions need not be looked at until something comes for them. Process: client
// backend.
#pragma once

namespace live_queries {

// Those that stir and have nothing to wait for lie still from here on. To be called where no
// transaction may undo what was done to one. Never ereports.
void Settle();

}  // namespace live_queries
