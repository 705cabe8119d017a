// The screen is drawn some times a second where something has changed, however often that is.
#include "pg_live/screen.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "pg_live/array_literal.hpp"
#include "pg_live/commit_time.hpp"
#include "pg_live/problem.hpp"
#include "pg_live/text.hpp"

namespace pg_live {

namespace {

constexpr std::chrono::milliseconds kTick{100};

constexpr const char* kKeys[] = {
    "arrows, PgUp, PgDn, Home, End   scroll",
    "Tab                             the next query",
    "space                           hold still, and go on",
    "/                               rows with a text: Enter keeps it, Esc ends it",
    "?                               this page",
    "q                               quit",
};

std::string Rounded(double number) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), number < 10 ? "%.1f" : "%.0f", number);
  return buffer;
}

}  // namespace

void Screen::FirstResult(const LiveQuery& query) {
  tiles_.emplace_back(&query);
  is_stale_ = true;
}

void Screen::Note(const LiveQuery& query, const std::vector<Difference>& differences) {
  const Clock::time_point now = Clock::now();
  tiles_.at(query.number() - 1).marks().Note(differences, now);
  rate_.Add(differences.size(), now);
  if (paused_) missed_ += differences.size();
  is_stale_ = true;
}

void Screen::Told(const LiveQuery& query, const Message& message,
                  const std::vector<Difference>& differences) {
  Note(query, differences);
  CountOne();
  if (const auto committed = ParseCommitTime(message.committed_at))
    lag_ = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now() -
                                                                 *committed);
}

void Screen::CaughtUp(const LiveQuery& query, const std::vector<Difference>& differences) {
  Note(query, differences);
}

void Screen::Connected(const Connection& connection, bool /*again*/) {
  connection_name_ = connection.Name();
  is_live_ = true;
  said_.clear();
  is_stale_ = true;
}

void Screen::Lost(const std::string& why, bool /*first_try*/) {
  is_live_ = false;
  Say(why);
}

// Before there is a screen this is said as everywhere: the server may be waited for.
void Screen::Say(const std::string& sentence) {
  if (!terminal_) {
    Output::Say(sentence);
    return;
  }
  said_ = OneLine(sentence);
  is_stale_ = true;
}

void Screen::AllRead() {
  if (terminal_) return;
  terminal_ = std::make_unique<Terminal>();
  loop_->SetInput(STDIN_FILENO, [this] { OnKeys(); });
  loop_->SetTick(kTick, [this] { Tick(); });
  Draw();
}

void Screen::Serve(Connection* connection) {
  if (!wants_explanation_) return;
  wants_explanation_ = false;
  const QueryText& text = tiles_.at(focus_).query().text();
  explanation_.clear();
  try {
    const Connection::Table table =
        connection->Query("SELECT property, value FROM live.explain($1, $2::text[])",
                          {text.query, ArrayLiteral(text.params)});
    for (const auto& row : table)
      explanation_.push_back(PadTo(Printable(row.at(0)), 20, false) + " " + OneLine(row.at(1)));
  } catch (const ServerError& error) {
    explanation_.push_back(ProblemText(error));
  }
  is_stale_ = true;
}

// ---- keys ---------------------------------------------------------------------------------------

void Screen::OnKeys() {
  bool any = false;
  while (const std::optional<KeyPress> press = terminal_->NextKey()) {
    any = true;
    if (helps_)
      helps_ = false;
    else if (filters_)
      OnFilterKey(*press);
    else
      OnKey(*press);
  }
  if (!any && terminal_->IsGone()) throw Stop{kDone};
  Draw();
}

void Screen::OnKey(const KeyPress& press) {
  if (press.key == Key::kTab) {
    focus_ = (focus_ + 1) % tiles_.size();
  } else if (press.text == "q") {
    throw Stop{kDone};
  } else if (press.text == " ") {
    SetPaused(!paused_);
  } else if (press.text == "/") {
    filters_ = true;
    filter_.clear();
  } else if (press.text == "?") {
    helps_ = true;
    explanation_.clear();
    wants_explanation_ = true;
    loop_->Interrupt();
  } else if (press.key == Key::kEscape) {
    filter_.clear();
  } else {
    Scroll(press);
  }
}

void Screen::OnFilterKey(const KeyPress& press) {
  if (press.key == Key::kText) {
    filter_ += press.text;
  } else if (press.key == Key::kEnter) {
    filters_ = false;
  } else if (press.key == Key::kEscape) {
    filters_ = false;
    filter_.clear();
  } else if (press.key == Key::kBackspace) {
    // A character of UTF-8 ends where its first byte is.
    while (!filter_.empty() && (static_cast<unsigned char>(filter_.back()) & 0xC0U) == 0x80)
      filter_.pop_back();
    if (!filter_.empty()) filter_.pop_back();
  }
}

void Screen::Scroll(const KeyPress& press) {
  Tile& tile = tiles_.at(focus_);
  const long page = std::max(1L, static_cast<long>(TileHeight()) - 3);
  switch (press.key) {
    case Key::kUp:
      return tile.ScrollBy(-1, 0);
    case Key::kDown:
      return tile.ScrollBy(1, 0);
    case Key::kPageUp:
      return tile.ScrollBy(-page, 0);
    case Key::kPageDown:
      return tile.ScrollBy(page, 0);
    case Key::kLeft:
      return tile.ScrollBy(0, -1);
    case Key::kRight:
      return tile.ScrollBy(0, 1);
    case Key::kHome:
      return tile.ScrollToTop();
    case Key::kEnd:
      return tile.ScrollToEnd();
    default:
      return;
  }
}

void Screen::SetPaused(bool paused) {
  paused_ = paused;
  missed_ = 0;
  for (Tile& tile : tiles_) {
    if (paused)
      tile.Freeze();
    else
      tile.Thaw();
  }
}

// ---- drawing ------------------------------------------------------------------------------------

void Screen::Tick() {
  const Clock::time_point now = Clock::now();
  for (Tile& tile : tiles_)
    if (tile.marks().Forget(now)) is_stale_ = true;
  if (terminal_->Resize()) is_stale_ = true;
  // The rate of changes moves on by itself.
  if (is_stale_ || now - drawn_ >= std::chrono::seconds(1)) Draw();
}

// Of each tile, if all are seen at once; with less room than three lines for each, some of them are
// not.
size_t Screen::TileHeight() const {
  constexpr size_t kLeast = 3;
  const size_t room = std::max<size_t>(terminal_->height(), 2) - 1;
  return std::max(std::min(room, kLeast), room / std::max<size_t>(tiles_.size(), 1));
}

void Screen::Draw() {
  terminal_->Erase();
  const size_t height = terminal_->height();
  if (helps_) {
    DrawHelp();
  } else {
    const size_t each = TileHeight();
    const size_t room = std::max<size_t>(height, 2) - 1;
    const size_t fit = std::max<size_t>(room / each, 1);
    // The page of tiles that has the one in focus.
    const size_t first = focus_ / fit * fit;
    const size_t last = std::min(first + fit, tiles_.size());
    for (size_t i = first; i < last; ++i)
      tiles_[i].Draw(terminal_.get(), (i - first) * each, each, i == focus_, filter_);
  }
  DrawStatus(height - 1);
  terminal_->Show();
  is_stale_ = false;
  drawn_ = Clock::now();
}

std::string Screen::Status() {
  constexpr size_t kNarrow = 100;
  const Clock::time_point now = Clock::now();
  size_t rows = 0;
  for (const Tile& tile : tiles_) rows += tile.query().result().rows().size();
  std::string text = is_live_ ? " live  " : " STALE  ";
  if (paused_) text = " HELD, " + std::to_string(missed_) + " changes since  ";
  text += std::to_string(rows) + (rows == 1 ? " row  " : " rows  ");
  text += Rounded(rate_.PerSecond(now)) + "/s ";
  text += rate_.Sparkline(terminal_->width() < kNarrow ? 10 : 30, now);
  if (lag_) text += "  lag " + std::to_string(std::max<long>(0, lag_->count())) + " ms";
  text += "  " + tiles_.at(focus_).query().strategy();
  if (!filter_.empty()) text += "  /" + Printable(filter_);
  return text + "  " + connection_name_;
}

void Screen::DrawStatus(size_t line) {
  if (filters_) {
    terminal_->PutLine(line, "/" + Printable(filter_) + "_", Style::kStatus);
    return;
  }
  std::string text = Status();
  if (!said_.empty()) text = (is_live_ ? " " : " STALE  ") + said_;
  terminal_->PutLine(line, text, is_live_ && said_.empty() ? Style::kStatus : Style::kWarning);
}

void Screen::DrawHelp() {
  size_t line = 0;
  terminal_->Put(line++, 0, "pg_live: the result of a query, kept up to date", Style::kFocus);
  for (const char* key : kKeys) terminal_->Put(line++, 2, key, Style::kPlain);
  ++line;
  const Tile& tile = tiles_.at(focus_);
  terminal_->Put(line++, 0, "How query " + std::to_string(tile.query().number()) + " is watched",
                 Style::kFocus);
  if (explanation_.empty()) terminal_->Put(line, 2, "(no answer from the server yet)", Style::kDim);
  for (const std::string& text : explanation_) terminal_->Put(line++, 2, text, Style::kPlain);
}

}  // namespace pg_live
