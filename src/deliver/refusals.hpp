// Whose queued terminations the client does not want any more, since it has unsubscribed from what
// was over already, or uses its id again. Called by poll_queue.cpp and, at the end of a
// transaction, client/transaction_end.cpp. Process: client backend.
#pragma once

#include "model/identifiers.hpp"
#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Those that `role` has waiting now, of that id or (nullptr) all.
void Refuse(Oid role, const SubscriptionId* id);

// Whether a record that waits for `role` is such a termination.
enum class Which : uint8_t { kAny, kConfirmed };
bool IsRefused(Oid role, std::string_view id, const RecordHeader& header, Which which);

// The how manieth refusal of this connection was the last one.
uint64_t LastRefusal();
// At rollback: those after that one. Never ereports.
void TakeBackRefusals(uint64_t last);
// At commit. Never ereports.
void ConfirmRefusals();
// Once the queues have been sorted.
void ForgetConfirmedRefusals();

}  // namespace live_queries
