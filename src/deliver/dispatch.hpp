// From the mailbox to the client: takes records, asks each subscription's FlowControl, and sends
// notifications (pipe.hpp) or leaves them in the subscription's queue, for later or for live.poll
// (poll_queue.hpp). Process: client backend.
#pragma once

namespace live_queries {

// Delivers all that may be delivered. In a transaction; may block while the client does not read.
// After an error the next call goes on where it was; after several, all subscriptions are reset.
// Marks those that are `over`, which the caller then has to remove.
//
// `notifications_wait`: the running transaction has changed which subscriptions are told what.
// Nobody can take notifications back, so they wait for its end; all of the connection's, for what
// it has resumed, or read to the end, is to show the same point in time as the others.
void DeliverMail(bool notifications_wait);

// Whether DeliverMail would have something to do. Never ereports.
bool MailIsWaiting();

// For a transaction's abort: whether to deliver again at once, if there is mail. Not if that has
// raised errors so often that only time can help. Never ereports.
bool MayDeliverAgain();

}  // namespace live_queries
