// Whether a pooler stands before the server that gives each transaction another connection.
//
// Through such a one (PgBouncer with pool_mode = transaction) subscribing succeeds, and then
// nothing is ever told. That cannot be seen from the server; but a client can: the process that it
// reaches is not the one that its connection began with, and another client reaches that one too.
#pragma once

#include <string>

#include "pg_live/connection.hpp"

namespace pg_live {

// Asks by `connection`, and by another one like it where that is in doubt. False if nothing is
// known within a few seconds. Throws ConnectionLost.
bool IsBehindTransactionPooler(EventLoop* loop, const Options& options, std::string* password,
                               Connection* connection);

// With the cure.
std::string TransactionPoolerText();

}  // namespace pg_live
