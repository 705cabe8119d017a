// The second connection is only made where there is a pooler of some kind.
#include "pg_live/pooler.hpp"

#include <algorithm>

#include "pg_live/problem.hpp"

namespace pg_live {

namespace {

std::string ReachedProcess(Connection* connection) {
  try {
    return connection->Query("SELECT pg_backend_pid()").at(0).at(0);
  } catch (const ServerError& error) {
    throw ConnectionLost(ProblemText(error));
  }
}

}  // namespace

bool IsBehindTransactionPooler(EventLoop* loop, const Options& options, std::string* password,
                               Connection* connection) {
  constexpr std::chrono::milliseconds kPatience{3000};
  const std::string reached = ReachedProcess(connection);
  if (reached == connection->ProcessAtFirst()) return false;
  Options like_it = options;
  like_it.never_ask_password = true;
  like_it.times.answer = std::min(like_it.times.answer, kPatience);
  try {
    Connection other(loop, like_it, password, [](const std::string&, const std::string&) {});
    return ReachedProcess(&other) == reached;
  } catch (const ConnectionLost&) {
    return false;
  }
}

std::string TransactionPoolerText() {
  return "a pooler gives each transaction another connection, so live queries cannot work through "
         "it. Let it give each session one connection (PgBouncer: pool_mode = session), or connect "
         "to the server itself.";
}

}  // namespace pg_live
