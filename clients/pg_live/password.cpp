// Turns off the echo of the terminal while it reads.
#include "pg_live/password.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>

namespace pg_live {

std::string AskPassword(const std::string& prompt) {
  const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
  const int input = terminal < 0 ? STDIN_FILENO : terminal;
  const int output = terminal < 0 ? STDERR_FILENO : terminal;
  // What the event loop takes over for another reason than to end must not end the reading.
  sigset_t others;
  sigset_t blocked_before;
  sigemptyset(&others);
  sigaddset(&others, SIGWINCH);
  sigaddset(&others, SIGCHLD);
  sigprocmask(SIG_BLOCK, &others, &blocked_before);
  termios before{};
  const bool hides = tcgetattr(input, &before) == 0;
  if (hides) {
    termios hidden = before;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(input, TCSAFLUSH, &hidden);
  }
  (void)!write(output, prompt.data(), prompt.size());
  std::string password;
  char c = 0;
  while (read(input, &c, 1) == 1 && c != '\n') password += c;
  if (hides) {
    tcsetattr(input, TCSAFLUSH, &before);
    (void)!write(output, "\n", 1);
  }
  if (terminal >= 0) close(terminal);
  sigprocmask(SIG_SETMASK, &blocked_before, nullptr);
  return password;
}

}  // namespace pg_live
