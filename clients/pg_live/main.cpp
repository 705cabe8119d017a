// pg_live: shows the result of a query in the terminal, and keeps it up to date.
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "pg_live/event_loop.hpp"
#include "pg_live/line_output.hpp"
#include "pg_live/list_watch.hpp"
#include "pg_live/options.hpp"
#include "pg_live/screen.hpp"
#include "pg_live/session.hpp"
#include "pg_live/text.hpp"

namespace {

using pg_live::Mode;
using pg_live::Options;
using pg_live::Output;

bool IsTerminal() { return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0; }

Mode ModeOf(const Options& options) {
  return options.mode.value_or(IsTerminal() ? Mode::kScreen : Mode::kJson);
}

std::unique_ptr<Output> MakeOutput(const Options& options, pg_live::EventLoop* loop) {
  switch (ModeOf(options)) {
    case Mode::kChanges:
      return std::make_unique<pg_live::ChangesOutput>(loop, options.queries.size() > 1,
                                                      options.count);
    case Mode::kTableOnce:
      return std::make_unique<pg_live::TableOutput>(loop);
    case Mode::kExec:
      return std::make_unique<pg_live::ExecOutput>(loop, options.command, options.count);
    case Mode::kList:
    case Mode::kScreen:
      return std::make_unique<pg_live::Screen>(loop, options.count);
    case Mode::kJson:
      break;
  }
  return std::make_unique<pg_live::JsonOutput>(loop, options.count);
}

int List(const Options& options, pg_live::EventLoop* loop) {
  try {
    pg_live::ListWatch(loop, options).Run(IsTerminal());
  } catch (const pg_live::Stop& stop) {
    return stop.status;
  }
}

int Watch(const Options& options) {
  pg_live::EventLoop loop;
  if (options.time) {
    const bool waits = options.count || options.until_empty || options.mode == Mode::kTableOnce;
    loop.SetEnd(pg_live::Clock::now() + *options.time, waits ? pg_live::kTimeIsUp : pg_live::kDone);
  }
  if (options.mode == Mode::kList) return List(options, &loop);
  std::unique_ptr<Output> output = MakeOutput(options, &loop);
  int status = pg_live::kDone;
  try {
    pg_live::Session(&loop, options, output.get()).Run();
  } catch (const pg_live::Stop& stop) {
    status = stop.status;
  }
  // What is said on the screen goes with it.
  const std::string last_said = output->last_said();
  output.reset();
  if (status == pg_live::kRefused && !last_said.empty())
    std::fprintf(stderr, "pg_live: %s\n", last_said.c_str());
  return status;
}

// Widths of characters are those of the locale; what is shown is UTF-8, also where the locale says
// nothing.
void SetLocale() {
  (void)std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) (void)std::setlocale(LC_CTYPE, "C.UTF-8");
}

int Main(const std::vector<std::string>& arguments) {
  SetLocale();
  const Options options = pg_live::ParseOptions(arguments);
  if (options.help) {
    std::fputs(pg_live::Usage().data(), stdout);
    return pg_live::kDone;
  }
  if (options.version) {
    std::puts("pg_live (live_queries) " PG_LIVE_VERSION);
    return pg_live::kDone;
  }
  return Watch(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main({argv + 1, argv + argc});
  } catch (const pg_live::UsageError& error) {
    std::fprintf(stderr, "pg_live: %s\nTry \"pg_live --help\".\n",
                 pg_live::OneLine(error.what()).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pg_live: %s\n", pg_live::OneLine(error.what()).c_str());
  }
  return pg_live::kFailed;
}
