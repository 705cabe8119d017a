// The command line.
//
// Owns: Options, and how arguments become them. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace pg_live {

// What the program ends with; the man page lists the same.
enum ExitStatus {
  kDone = 0,
  kFailed = 1,         // wrong arguments, output that cannot be written
  kNoConnection = 2,   // the first connection could not be made, or was lost too early
  kRefused = 3,        // the server refused the query, or lacks something
  kTerminated = 4,     // the server has ended the live queries
  kTimeIsUp = 5,       // --for was over before what was waited for
  kCommandFailed = 6,  // the command of --exec
  kSignal = 128,       // and the signal's number
};

enum class Mode { kScreen, kJson, kChanges, kTableOnce, kExec, kList };

struct QueryText {
  std::string query;
  std::vector<std::string> params;
};

// Those of docs/client.md, "Connections" and "Waits".
struct Times {
  using Duration = std::chrono::milliseconds;

  Duration heartbeat{15000};     // of silence, after which the server is asked whether it is there
  Duration answer{10000};        // to a command, or to connecting
  Duration long_answer{120000};  // to a command that may have to wait or to work
  Duration first_wait{1000};     // before another try, at most
  Duration longest_wait{30000};
};

struct Options {
  std::string host;
  std::string port;
  std::string user;
  std::string database;  // also a connection string or URI
  bool never_ask_password = false;
  bool ask_password = false;
  bool help = false;
  bool version = false;
  std::optional<Mode> mode;  // none: the screen on a terminal, else JSON
  std::string command;       // of --exec
  std::optional<size_t> count;
  std::optional<std::chrono::milliseconds> time;
  bool until_empty = false;
  Times times;
  std::vector<QueryText> queries;
};

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws UsageError.
Options ParseOptions(const std::vector<std::string>& arguments);

// A number with ms, s, min (or m), h or nothing, which is seconds.
std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text);

// The text of --help.
std::string_view Usage();

}  // namespace pg_live
