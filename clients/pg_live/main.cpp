// pg_live: shows the result of a query in the terminal, and keeps it up to date.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "pg_live/event_loop.hpp"
#include "pg_live/line_output.hpp"
#include "pg_live/list_watch.hpp"
#include "pg_live/options.hpp"
#include "pg_live/screen.hpp"
#include "pg_live/session.hpp"
#include "pg_live/terminal.hpp"
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
      // Better now than when a first result was waited for.
      if (!pg_live::Terminal::CanDraw())
        throw std::runtime_error(
            "nothing can be drawn on this terminal (TERM): use --json, --changes or --table-once");
      return std::make_unique<pg_live::Screen>(loop, options.count);
    case Mode::kJson:
      break;
  }
  return std::make_unique<pg_live::JsonOutput>(loop, options.count);
}

int List(const Options& options, pg_live::EventLoop* loop) {
  try {
    pg_live::ListWatch(loop, options).Run(IsTerminal() && pg_live::Terminal::CanDraw());
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

// One that is closed would be given to the connection, and what is written to it would go there.
// Nothing can be written to this standard output either, which is said when it is tried.
void FillStandardFiles() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      (void)open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

int Print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw std::runtime_error(std::string("cannot write: ") + std::strerror(errno));
  return pg_live::kDone;
}

int Main(const std::vector<std::string>& arguments) {
  FillStandardFiles();
  SetLocale();
  const Options options = pg_live::ParseOptions(arguments);
  if (options.help) return Print(pg_live::Usage());
  if (options.version) return Print("pg_live (live_queries) " PG_LIVE_VERSION "\n");
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
