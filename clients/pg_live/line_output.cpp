// Collects lines, and writes them when nothing more is here for now, so that many changes are few
// writes.
#include "pg_live/line_output.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "pg_live/exec_command.hpp"
#include "pg_live/table.hpp"

namespace pg_live {

namespace {

Json ParsedKey(const std::string& key) { return ParseJson(key).value_or(Json()); }

// A snapshot or difference as a message of changes, in the order of the server's: deletes, updates,
// inserts.
Json ChangesOf(const std::vector<Difference>& differences) {
  Json changes = JsonArray({});
  const auto add = [&](Difference::Kind kind, std::string_view op) {
    for (const Difference& difference : differences) {
      if (difference.kind != kind) continue;
      Json change = JsonObject({{"op", JsonText(op)}, {"key", ParsedKey(difference.key)}});
      change.members.push_back({"row", difference.row});
      if (kind == Difference::Kind::kChanged) change.members.push_back({"old", difference.old});
      changes.items.push_back(std::move(change));
    }
  };
  add(Difference::Kind::kLeft, "delete");
  add(Difference::Kind::kChanged, "update");
  add(Difference::Kind::kEntered, "insert");
  return changes;
}

}  // namespace

// ---- standard output ----------------------------------------------------------------------------

void StandardOutput::Add(std::string_view text) {
  constexpr size_t kEnough = 1 << 16;
  waiting_ += text;
  if (waiting_.size() >= kEnough) Flush();
}

void StandardOutput::Flush() {
  std::string_view left = waiting_;
  while (!left.empty()) {
    if (loop_->Wait(STDOUT_FILENO, POLLOUT) == 0) continue;
    const ssize_t written = write(STDOUT_FILENO, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EPIPE) {
      throw Stop{kSignal + SIGPIPE};
    } else if (errno != EINTR && errno != EAGAIN) {
      throw std::runtime_error(std::string("cannot write: ") + std::strerror(errno));
    }
  }
  waiting_.clear();
}

// ---- messages -----------------------------------------------------------------------------------

void MessageOutput::FirstResult(const LiveQuery& query) {
  Json rows = JsonArray({});
  for (const Row& row : query.result().rows())
    rows.items.push_back(JsonObject({{"key", ParsedKey(row.key)}, {"row", row.row}}));
  Show(JsonObject({{"type", JsonText("snapshot")},
                   {"subscription_id", JsonText(query.id())},
                   {"seq", JsonText(query.seq())},
                   {"strategy", JsonText(query.strategy())},
                   {"rows", std::move(rows)}}));
}

void MessageOutput::Told(const LiveQuery& /*query*/, const Message& message,
                         const std::vector<Difference>& /*differences*/) {
  if (complete()) return;
  Show(message.json);
  CountOne();
}

void MessageOutput::CaughtUp(const LiveQuery& query, const std::vector<Difference>& differences) {
  if (complete()) return;
  Show(JsonObject({{"type", JsonText("changes")},
                   {"subscription_id", JsonText(query.id())},
                   {"seq", JsonText(query.seq())},
                   {"xid", Json()},
                   {"refreshed", JsonBool(true)},
                   {"changes", ChangesOf(differences)},
                   {"more", JsonBool(false)}}));
  CountOne();
}

void JsonOutput::Show(const Json& message) {
  out_.Add(message.Dump());
  out_.Add("\n");
}

void ExecOutput::Show(const Json& message) {
  const int status = RunCommand(loop_, command_, message.Dump() + "\n");
  if (status == 0) return;
  Say("the command ended with status " + std::to_string(status));
  throw Stop{kCommandFailed};
}

// ---- changes ------------------------------------------------------------------------------------

void ChangesOutput::Line(const LiveQuery& query, char sign, const Json& row, const Json& old) {
  out_.Add(std::string(1, sign) + " ");
  if (numbered_) out_.Add(std::to_string(query.number()) + " ");
  out_.Add(row.Dump());
  if (!old.members.empty()) out_.Add(" was " + old.Dump());
  out_.Add("\n");
}

void ChangesOutput::FirstResult(const LiveQuery& query) {
  for (const Row& row : query.result().rows()) Line(query, '=', row.row, {});
}

void ChangesOutput::Told(const LiveQuery& query, const Message& message,
                         const std::vector<Difference>& differences) {
  if (message.type == Message::Type::kChanges) CaughtUp(query, differences);
}

void ChangesOutput::CaughtUp(const LiveQuery& query, const std::vector<Difference>& differences) {
  for (const Difference& difference : differences) {
    if (complete()) return;
    const char sign = difference.kind == Difference::Kind::kEntered   ? '+'
                      : difference.kind == Difference::Kind::kChanged ? '~'
                                                                      : '-';
    Line(query, sign, difference.row, difference.old);
    CountOne();
  }
}

// ---- a table ------------------------------------------------------------------------------------

void TableOutput::FirstResult(const LiveQuery& query) {
  if (query.number() > 1) out_.Add("\n");
  std::vector<const Json*> rows;
  for (const Row& row : query.result().rows()) rows.push_back(&row.row);
  out_.Add(TextTable(query.columns(), rows));
}

}  // namespace pg_live
