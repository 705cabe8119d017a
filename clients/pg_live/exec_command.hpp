// Running the command of --exec.
#pragma once

#include <string>
#include <string_view>

#include "pg_live/event_loop.hpp"

namespace pg_live {

// Runs it by the shell with `input` on its standard input, and waits for its end. Returns its exit
// status, 128 and the number if a signal has ended it. A Stop meanwhile is passed on to it first,
// as SIGTERM; a command that is still there after a while, or after another signal, is killed.
int RunCommand(EventLoop* loop, const std::string& command, std::string_view input);

}  // namespace pg_live
