// A child whose standard input is a pipe, written to as it reads.
#include "pg_live/exec_command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>

namespace pg_live {

namespace {

constexpr int kNotRun = 127;

// In the child; does not return.
[[noreturn]] void BecomeCommand(const std::string& command, int input) {
  for (const int number : {SIGINT, SIGTERM, SIGCHLD, SIGWINCH, SIGPIPE})
    (void)signal(number, SIG_DFL);
  if (signal(SIGHUP, SIG_DFL) == SIG_IGN) (void)signal(SIGHUP, SIG_IGN);
  dup2(input, STDIN_FILENO);
  execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
  _exit(kNotRun);
}

// Writes as long as the command reads.
void WriteAll(EventLoop* loop, int fd, std::string_view text) {
  while (!text.empty()) {
    if (loop->Wait(fd, POLLOUT) == 0) continue;
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(static_cast<size_t>(written));
    else if (errno != EINTR && errno != EAGAIN)
      return;
  }
}

constexpr std::chrono::milliseconds kLook(200);

// The command may take its time to end, but not for ever, and not against a second signal.
void EndCommand(EventLoop* loop, pid_t child) {
  constexpr std::chrono::seconds kPatience(10);
  const Clock::time_point until = Clock::now() + kPatience;
  kill(child, SIGTERM);
  loop->Continue();
  while (waitpid(child, nullptr, WNOHANG) == 0) {
    if (loop->StoppedAgain() || Clock::now() >= until) kill(child, SIGKILL);
    (void)loop->Wait(-1, 0, Clock::now() + kLook);
  }
}

int WaitForEnd(EventLoop* loop, pid_t child) {
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) (void)loop->Wait(-1, 0, Clock::now() + kLook);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

int RunCommand(EventLoop* loop, const std::string& command, std::string_view input) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("cannot start a process");
  if (child == 0) BecomeCommand(command, ends[0]);
  close(ends[0]);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  bool writes = true;
  try {
    WriteAll(loop, ends[1], input);
    close(ends[1]);
    writes = false;
    return WaitForEnd(loop, child);
  } catch (const Stop&) {
    if (writes) close(ends[1]);
    EndCommand(loop, child);
    throw;
  }
}

}  // namespace pg_live
