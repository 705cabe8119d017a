// Keys only note what is wanted: the loop of Run does it, between two looks.
#include "pg_live/list_watch.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "pg_live/line_output.hpp"
#include "pg_live/problem.hpp"
#include "pg_live/table.hpp"
#include "pg_live/text.hpp"

namespace pg_live {

namespace {

constexpr std::chrono::seconds kInterval{1};

constexpr const char* kQuery = R"(
  SELECT live_id, username, database, strategy, status, messages, changes, pending_bytes,
         round(extract(epoch FROM clock_timestamp() - last_delivered_at))::text,
         coalesce(nullif(error, ''), query),
         CASE WHEN status <> 'terminated' THEN
           (SELECT max(w.lag_bytes) FROM live.worker_states() w
            WHERE w.database = s.database AND (w.kind = 'decoder') = (s.strategy = 'stream'))
         END,
         memory_bytes
  FROM live.subscriptions() s
  WHERE live_id IS NOT NULL)";  // those of other roles have none

constexpr const char* kTotals = R"(
  SELECT coalesce(subscriptions, 0), coalesce(databases, 0), coalesce(lag_bytes, 0),
         coalesce(memory_bytes, 0), coalesce(retained_wal_bytes, 0), coalesce(resets, 0)
  FROM live.stats())";

struct ListColumn {
  const char* name;
  size_t width;
  bool is_number;
};

constexpr ListColumn kColumns[] = {
    {"live_id", 28, false}, {"user", 10, false},  {"strategy", 8, false}, {"status", 10, false},
    {"ch/s", 7, true},      {"changes", 9, true}, {"pending", 7, true},   {"memory", 7, true},
    {"lag", 7, true},       {"told", 6, true},    {"query", 200, false},
};

long long Number(const std::string& text) { return std::strtoll(text.c_str(), nullptr, 10); }

std::string Rate(double rate) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), rate < 10 ? "%.1f" : "%.0f", rate);
  return buffer;
}

std::vector<std::string> Cells(const ListedQuery& query) {
  return {Printable(query.live_id),
          Printable(query.user),
          query.strategy,
          query.status,
          Rate(query.changes_per_second),
          std::to_string(query.changes),
          BytesText(query.pending_bytes),
          BytesText(query.memory_bytes),
          query.lag.empty() ? "" : BytesText(Number(query.lag)),
          query.last_told.empty() ? "" : query.last_told + " s",
          OneLine(query.text)};
}

std::string Line(const std::vector<std::string>& cells) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i)
    line += PadTo(cells[i], kColumns[i].width, kColumns[i].is_number) + " ";
  return line;
}

}  // namespace

void ListWatch::Connect() {
  const auto ignore = [](const std::string&, const std::string&) {};
  Options options = options_;
  if (terminal_) options.never_ask_password = true;
  connection_ = std::make_unique<Connection>(loop_, options, &password_, ignore);
  connection_name_ = connection_->Name();
}

void ListWatch::Look() {
  if (!connection_) {
    Connect();
    said_.clear();
  }
  std::vector<ListedQuery> queries;
  for (const std::vector<std::string>& row : connection_->Query(kQuery)) {
    ListedQuery query;
    query.live_id = row.at(0);
    query.user = row.at(1);
    query.database = row.at(2);
    query.strategy = row.at(3);
    query.status = row.at(4);
    query.messages = Number(row.at(5));
    query.changes = Number(row.at(6));
    query.pending_bytes = Number(row.at(7));
    query.last_told = row.at(8);
    query.text = row.at(9);
    query.lag = row.at(10);
    query.memory_bytes = Number(row.at(11));
    queries.push_back(std::move(query));
  }
  list_.Take(std::move(queries), Clock::now());
  const std::vector<std::string> totals = connection_->Query(kTotals).at(0);
  totals_ = "live queries: " + totals.at(0) + ", databases: " + totals.at(1) +
            ", lag: " + BytesText(Number(totals.at(2))) +
            ", memory: " + BytesText(Number(totals.at(3))) +
            ", WAL kept: " + BytesText(Number(totals.at(4))) + ", resets: " + totals.at(5);
}

void ListWatch::Run(bool on_screen) {
  try {
    Look();
  } catch (const ConnectionLost& lost) {
    std::fprintf(stderr, "pg_live: %s\n", lost.what());
    throw Stop{kNoConnection};
  } catch (const ServerError& error) {
    const std::string text =
        IsMissingExtension(error)
            ? MissingExtensionText(connection_->Database(), connection_->HasExtensionFiles())
            : ProblemText(error);
    std::fprintf(stderr, "pg_live: %s\n", text.c_str());
    throw Stop{kRefused};
  }
  if (!on_screen) WriteOnce();
  terminal_ = std::make_unique<Terminal>();
  loop_->SetInput(STDIN_FILENO, [this] { OnKeys(); });
  loop_->SetTick(kInterval, [this] {
    (void)terminal_->Resize();
    Draw();
  });
  Draw();
  for (;;) {
    (void)loop_->Wait(-1, 0, Clock::now() + kInterval);
    try {
      if (!to_kill_.empty()) Kill(std::exchange(to_kill_, {}));
      Look();
    } catch (const ConnectionLost& lost) {
      connection_.reset();
      said_ = lost.what();
    } catch (const ServerError& error) {
      said_ = ProblemText(error);
    }
    Draw();
  }
}

void ListWatch::WriteOnce() {
  std::vector<ResultColumn> columns;
  for (const ListColumn& column : kColumns) columns.push_back({column.name, "", column.is_number});
  std::vector<Json> rows;
  for (const ListedQuery& query : list_.queries()) {
    Json row = JsonObject({});
    const std::vector<std::string> cells = Cells(query);
    for (size_t i = 0; i < cells.size(); ++i)
      row.members.push_back({columns[i].name, JsonText(cells[i])});
    rows.push_back(std::move(row));
  }
  std::vector<const Json*> pointers;
  pointers.reserve(rows.size());
  for (const Json& row : rows) pointers.push_back(&row);
  StandardOutput out(loop_);
  out.Add(totals_ + "\n\n" + TextTable(columns, pointers));
  out.Flush();
  throw Stop{kDone};
}

void ListWatch::Kill(const std::string& live_id) {
  if (!connection_) return;
  const Connection::Table table = connection_->Query("SELECT live.kill($1)", {live_id});
  said_ =
      Printable(live_id) + (table.at(0).at(0) == "t" ? " was killed" : " is not there any more");
}

// ---- keys and drawing ---------------------------------------------------------------------------

void ListWatch::OnKeys() {
  bool any = false;
  while (const std::optional<KeyPress> press = terminal_->NextKey()) {
    any = true;
    OnKey(*press);
  }
  if (!any && terminal_->IsGone()) throw Stop{kDone};
  Draw();
}

void ListWatch::OnKey(const KeyPress& press) {
  said_.clear();
  if (!to_confirm_.empty()) {
    if (press.text == "y") {
      to_kill_ = to_confirm_;
      loop_->Interrupt();
    }
    to_confirm_.clear();
    return;
  }
  const std::vector<ListedQuery>& queries = list_.queries();
  if (press.text == "q") throw Stop{kDone};
  if (queries.empty()) return;
  const auto found = std::find_if(queries.begin(), queries.end(), [&](const ListedQuery& query) {
    return query.live_id == selected_;
  });
  const size_t at = found == queries.end() ? 0 : static_cast<size_t>(found - queries.begin());
  if (press.key == Key::kUp && at > 0) selected_ = queries[at - 1].live_id;
  if (press.key == Key::kDown && at + 1 < queries.size()) selected_ = queries[at + 1].live_id;
  if (press.text == "k") to_confirm_ = queries[at].live_id;
}

void ListWatch::Draw() {
  terminal_->Erase();
  const size_t height = terminal_->height();
  terminal_->PutLine(0, totals_, Style::kFocus);
  DrawQueries(1, std::max<size_t>(height, 3) - 2);
  std::string status = " " + connection_name_ + "   arrows: choose   k: kill   q: quit";
  if (!said_.empty()) status = " " + OneLine(said_);
  if (!to_confirm_.empty())
    status = " kill " + Printable(to_confirm_) + "?  y: yes   other keys: no";
  terminal_->PutLine(height - 1, status,
                     connection_ && to_confirm_.empty() ? Style::kStatus : Style::kWarning);
  terminal_->Show();
}

void ListWatch::DrawQueries(size_t line, size_t height) {
  std::vector<std::string> names;
  for (const ListColumn& column : kColumns) names.emplace_back(column.name);
  terminal_->Put(line, 0, Line(names), Style::kHead);
  const std::vector<ListedQuery>& queries = list_.queries();
  const auto is_selected = [&](const ListedQuery& query) { return query.live_id == selected_; };
  if (!queries.empty() && std::none_of(queries.begin(), queries.end(), is_selected))
    selected_ = queries.front().live_id;
  const auto selected = std::find_if(queries.begin(), queries.end(), is_selected);
  const auto at = static_cast<size_t>(selected - queries.begin());
  const size_t room = height - 1;
  const size_t first = at < room ? 0 : at + 1 - room;
  for (size_t i = 0; i < room && first + i < queries.size(); ++i) {
    const ListedQuery& query = queries[first + i];
    const Style style = query.live_id == selected_     ? Style::kStatus
                        : query.status == "terminated" ? Style::kDim
                                                       : Style::kPlain;
    terminal_->PutLine(line + 1 + i, Line(Cells(query)), style);
  }
}

}  // namespace pg_live
