// Joins what the server says, whose hints have the cure; what it cannot say, since it has no
// extension, is said here.
#include "pg_live/problem.hpp"

#include <algorithm>
#include <array>

#include "pg_live/text.hpp"

namespace pg_live {

namespace {

std::string Sentence(std::string text) {
  if (!text.empty() && text.back() != '.') text += '.';
  return text;
}

}  // namespace

std::string ProblemText(const ServerError& error) {
  std::string text = Sentence(OneLine(error.what()));
  for (const std::string& more : {error.detail, error.hint})
    if (!more.empty()) text += " " + Sentence(OneLine(more));
  return text;
}

bool IsMissingExtension(const ServerError& error) {
  constexpr std::string_view kNoSchema = "3F000";
  constexpr std::string_view kNoFunction = "42883";
  const std::string message = error.what();
  return (error.sqlstate == kNoSchema && message.find("\"live\"") != std::string::npos) ||
         (error.sqlstate == kNoFunction && message.find("live.subscribe") != std::string::npos);
}

std::string MissingExtensionText(std::string_view database, bool is_installed) {
  const std::string name = Printable(database);
  if (is_installed)
    return "database \"" + name +
           "\" has no live queries yet. As a superuser in it: CREATE EXTENSION live_queries;";
  return "live_queries is not installed on this server. Install it there, then as a superuser in "
         "database \"" +
         name + "\": CREATE EXTENSION live_queries;";
}

std::string WaitingText(std::string_view message, std::string_view detail) {
  std::string text = Sentence(OneLine(message));
  if (!detail.empty()) text += " " + Sentence(OneLine(detail));
  constexpr std::string_view kWaits = "live_queries waits for older transactions";
  if (message.starts_with(kWaits))
    text +=
        " End them, or wait; with the database in live_queries.databases there is no such wait.";
  return text;
}

bool PassesByItself(std::string_view sqlstate) {
  constexpr std::array<std::string_view, 6> kClasses = {"08", "40", "53", "55", "57", "58"};
  return std::find(kClasses.begin(), kClasses.end(), sqlstate.substr(0, 2)) != kClasses.end();
}

}  // namespace pg_live
