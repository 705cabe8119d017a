// From the mailbox to the client: takes records, asks each subscription's FlowControl, and sends
// notifications or queues messages for live.poll (poll_queue.hpp). Process: client backend.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// Delivers all that may be delivered. In a transaction; may block while the client does not read.
// After an error the next call goes on where it was; after several, all subscriptions are reset.
// Marks those that are `over`, which the caller then has to remove. `hold_notifications`: changes
// that would become notifications are held, for a later call.
void DeliverMail(bool hold_notifications);

// Whether DeliverMail would have something to do. Never ereports.
bool MailIsWaiting();

// For a transaction's abort: whether to deliver again at once, if there is mail. Not if that has
// raised errors so often that only time can help. Never ereports.
bool MayDeliverAgain();

}  // namespace live_queries
