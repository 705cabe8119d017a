// Sends commands and takes their results by libpq, waiting for the socket in the event loop alone.
#include "pg_live/connection.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "pg_live/password.hpp"
#include "pg_live/text.hpp"

namespace pg_live {

namespace {

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPointer = std::unique_ptr<PGresult, Clear>;

std::string Field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

void OnNotice(void* handler, const PGresult* result) {
  (*static_cast<NoticeHandler*>(handler))(Field(result, PG_DIAG_MESSAGE_PRIMARY),
                                          Field(result, PG_DIAG_MESSAGE_DETAIL));
}

// The FATAL line of what libpq says about a lost connection, if there is one, or all of it.
std::string Reason(std::string text) {
  constexpr std::string_view kFatal = "FATAL:";
  if (const size_t at = text.find(kFatal); at != std::string::npos) {
    const size_t start = at + kFatal.size();
    text = text.substr(start, text.find('\n', start) - start);
  }
  return OneLine(text);
}

}  // namespace

void Connection::Finish::operator()(pg_conn* connection) const { PQfinish(connection); }

Connection::Connection(EventLoop* loop, const Options& options, std::string* password,
                       NoticeHandler notice)
    : loop_(loop), times_(options.times), notice_(std::move(notice)) {
  if (options.ask_password && !options.never_ask_password && password->empty())
    *password = AskPassword("Password: ");
  try {
    Connect(options, *password);
  } catch (const ConnectionLost&) {
    if (!connection_ || PQconnectionNeedsPassword(connection_.get()) == 0 ||
        options.never_ask_password || !password->empty())
      throw;
    *password = AskPassword("Password for user " + Printable(PQuser(connection_.get())) + ": ");
    Connect(options, *password);
  }
}

Connection::~Connection() = default;

void Connection::Connect(const Options& options, const std::string& password) {
  // A later one counts; the name of the database may be a connection string, which stands for what
  // it contains.
  std::vector<const char*> names = {"keepalives_idle", "keepalives_interval", "keepalives_count"};
  std::vector<const char*> values = {"30", "10", "3"};
  const auto add = [&](const char* name, const std::string& value) {
    if (value.empty()) return;
    names.push_back(name);
    values.push_back(value.c_str());
  };
  const std::string program = "pg_live";
  const std::string encoding = "UTF8";
  add("host", options.host);
  add("port", options.port);
  add("user", options.user);
  add("password", password);
  add("dbname", options.database);
  add("fallback_application_name", program);
  add("client_encoding", encoding);
  names.push_back(nullptr);
  values.push_back(nullptr);

  connection_.reset(PQconnectStartParams(names.data(), values.data(), 1));
  if (!connection_) throw std::bad_alloc();
  if (PQstatus(connection_.get()) == CONNECTION_BAD) ThrowLost();
  const std::chrono::milliseconds timeout = ConnectTimeout();
  const Clock::time_point until = timeout.count() == 0 ? EventLoop::kNever : Clock::now() + timeout;
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (status != PGRES_POLLING_OK) {
    if (status == PGRES_POLLING_FAILED) ThrowLost();
    const short events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (loop_->Wait(PQsocket(connection_.get()), events, until) != 0)
      status = PQconnectPoll(connection_.get());
    else if (Clock::now() >= until)
      throw ConnectionLost("timeout expired");
  }
  PQsetNoticeReceiver(connection_.get(), OnNotice, &notice_);
  heard_ = Clock::now();
}

// That of all hosts together; 0 for ever. libpq leaves it to who does not block. Where none is set
// it is that of an answer, if there is one host: of several, the first may take longer to fail.
std::chrono::milliseconds Connection::ConnectTimeout() const {
  struct Free {
    void operator()(PQconninfoOption* info) const { PQconninfoFree(info); }
  };
  const std::unique_ptr<PQconninfoOption, Free> info(PQconninfo(connection_.get()));
  std::chrono::milliseconds timeout = times_.answer;
  bool is_set = false;
  long hosts = 1;
  for (const PQconninfoOption* option = info.get(); option && option->keyword; ++option) {
    if (option->val == nullptr) continue;
    const std::string_view keyword = option->keyword;
    if (keyword == "connect_timeout" && *option->val != '\0') {
      timeout = std::chrono::seconds(std::strtol(option->val, nullptr, 10));
      is_set = true;
    }
    if (keyword == "host")
      for (const char* c = option->val; *c != '\0'; ++c) hosts += *c == ',' ? 1 : 0;
  }
  if (hosts > 1 && !is_set) return std::chrono::milliseconds::zero();
  return std::max(timeout, std::chrono::milliseconds::zero()) * hosts;
}

void Connection::ThrowLost() const {
  std::string reason = Reason(PQerrorMessage(connection_.get()));
  if (reason.empty()) reason = "the connection was closed";
  throw ConnectionLost(reason);
}

void Connection::ThrowError(pg_result* result) const {
  const std::string sqlstate = Field(result, PG_DIAG_SQLSTATE);
  if (PQstatus(connection_.get()) == CONNECTION_BAD || sqlstate.empty())
    throw ConnectionLost(Reason(PQresultErrorMessage(result)));
  throw ServerError(Field(result, PG_DIAG_MESSAGE_PRIMARY), sqlstate,
                    Field(result, PG_DIAG_MESSAGE_DETAIL), Field(result, PG_DIAG_MESSAGE_HINT));
}

void Connection::Cancel() {
  std::array<char, 256> error{};
  PGcancel* cancel = PQgetCancel(connection_.get());
  if (cancel == nullptr) return;
  PQcancel(cancel, error.data(), static_cast<int>(error.size()));
  PQfreeCancel(cancel);
}

Connection::Table Connection::Query(const std::string& sql, const std::vector<std::string>& params,
                                    Patience patience) {
  PGconn* connection = connection_.get();
  std::vector<const char*> values;
  values.reserve(params.size());
  for (const std::string& param : params) values.push_back(param.c_str());
  if (PQsendQueryParams(connection, sql.c_str(), static_cast<int>(values.size()), nullptr,
                        values.data(), nullptr, nullptr, 0) == 0)
    ThrowLost();
  const auto time = patience == Patience::kLong ? times_.long_answer : times_.answer;
  Clock::time_point deadline = Clock::now() + time;
  ResultPointer last;
  for (;;) {
    try {
      while (PQisBusy(connection) != 0) {
        const bool is_ready = loop_->Wait(PQsocket(connection), POLLIN, deadline) != 0;
        if (!is_ready && Clock::now() >= deadline)
          throw ConnectionLost("the server does not answer");
        // What is long may take its time, as long as it comes.
        if (is_ready) deadline = Clock::now() + time;
        if (PQconsumeInput(connection) == 0) ThrowLost();
      }
    } catch (const Stop&) {
      // Without this the server would go on with a command that may wait for long.
      Cancel();
      throw;
    }
    ResultPointer result(PQgetResult(connection));
    if (!result) break;
    last = std::move(result);
  }
  if (!last) ThrowLost();
  heard_ = Clock::now();
  if (PQresultStatus(last.get()) != PGRES_TUPLES_OK &&
      PQresultStatus(last.get()) != PGRES_COMMAND_OK)
    ThrowError(last.get());
  Table table(static_cast<size_t>(PQntuples(last.get())));
  for (int row = 0; row < PQntuples(last.get()); ++row)
    for (int column = 0; column < PQnfields(last.get()); ++column)
      table[static_cast<size_t>(row)].emplace_back(
          PQgetvalue(last.get(), row, column),
          static_cast<size_t>(PQgetlength(last.get(), row, column)));
  return table;
}

void Connection::Ping() {
  try {
    (void)Query("SELECT 1");
  } catch (const ServerError& error) {
    throw ConnectionLost(OneLine(error.what()));
  }
}

std::optional<std::string> Connection::NextPayload() {
  struct Free {
    void operator()(PGnotify* notify) const { PQfreemem(notify); }
  };
  const std::unique_ptr<PGnotify, Free> notify(PQnotifies(connection_.get()));
  if (!notify) return std::nullopt;
  return std::string(notify->extra);
}

bool Connection::WaitForInput(Clock::time_point until) {
  const Clock::time_point asks = heard_ + times_.heartbeat;
  if (loop_->Wait(PQsocket(connection_.get()), POLLIN, std::min(until, asks)) == 0) {
    if (Clock::now() < asks) return false;
    Ping();
    return true;
  }
  if (PQconsumeInput(connection_.get()) == 0) ThrowLost();
  heard_ = Clock::now();
  return true;
}

std::string Connection::Name() const {
  const PGconn* connection = connection_.get();
  const std::string host = PQhost(connection);
  std::string name = std::string(PQuser(connection)) + "@";
  name += host.empty() || host[0] == '/' ? "local" : host;
  return Printable(name + ":" + PQport(connection) + "/" + PQdb(connection));
}

std::string Connection::Database() const { return PQdb(connection_.get()); }

bool Connection::HasExtensionFiles() {
  try {
    return !Query("SELECT 1 FROM pg_available_extensions WHERE name = 'live_queries'").empty();
  } catch (const std::runtime_error&) {
    return true;
  }
}

std::string Connection::ProcessAtFirst() const {
  return std::to_string(PQbackendPID(connection_.get()));
}

}  // namespace pg_live
