// One connection to a server, by libpq without blocking, so that signals and keys are seen
// meanwhile.
//
// Owns: the PGconn, its results, and the errors that come of them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "pg_live/event_loop.hpp"
#include "pg_live/options.hpp"
#include "pg_live/server_error.hpp"

struct pg_conn;
struct pg_result;

namespace pg_live {

// There is no connection, or it has ended.
struct ConnectionLost : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// How long an answer may take.
enum class Patience { kUsual, kLong };

// A notice of the server: message and detail.
using NoticeHandler = std::function<void(const std::string&, const std::string&)>;

class Connection {
 public:
  using Table = std::vector<std::vector<std::string>>;

  // Connects. `password` is asked for on the terminal where it is needed, and kept for the next
  // time. Throws ConnectionLost.
  Connection(EventLoop* loop, const Options& options, std::string* password, NoticeHandler notice);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The rows of a command; NULL is an empty text. Throws ServerError, or ConnectionLost, also where
  // the answer does not come in time.
  Table Query(const std::string& sql, const std::vector<std::string>& params = {},
              Patience patience = Patience::kUsual);

  // Asks whether the server is there. Throws ConnectionLost.
  void Ping();

  // The payload of the next notification that is here.
  std::optional<std::string> NextPayload();

  // Waits for something from the server, until a time; true if something may have come. Where
  // nothing has come for long, it asks whether the server is there, and throws ConnectionLost if it
  // is not.
  bool WaitForInput(Clock::time_point until);

  // Whom and what this is connected to, for people: user@host:port/database.
  std::string Name() const;
  std::string Database() const;
  // Whether the files of the extension are on the server, as far as that can be asked.
  bool HasExtensionFiles();
  // The server process with which the connection began, as it was told then.
  std::string ProcessAtFirst() const;

 private:
  void Connect(const Options& options, const std::string& password);
  std::chrono::milliseconds ConnectTimeout() const;
  [[noreturn]] void ThrowLost() const;
  [[noreturn]] void ThrowError(pg_result* result) const;
  void Cancel();

  struct Finish {
    void operator()(pg_conn* connection) const;
  };

  EventLoop* loop_;
  Times times_;
  NoticeHandler notice_;
  Clock::time_point heard_{};  // when something came from the server
  std::unique_ptr<pg_conn, Finish> connection_;
};

}  // namespace pg_live
