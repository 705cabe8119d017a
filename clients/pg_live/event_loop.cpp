// Signals write a byte into a pipe, which every wait looks at: so none comes between a look and a
// sleep.
#include "pg_live/event_loop.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <utility>

#include "pg_live/options.hpp"

namespace pg_live {

namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGWINCH};

// The handlers know nothing else.
std::array<int, 2> signal_pipe = {-1, -1};
volatile std::sig_atomic_t stop_signal = 0;
volatile std::sig_atomic_t window_changed = 0;

void OnSignal(int signal) {
  const int saved = errno;
  if (signal == SIGWINCH)
    window_changed = 1;
  else if (signal != SIGCHLD)
    stop_signal = signal;
  (void)!write(signal_pipe[1], "", 1);
  errno = saved;
}

void SetHandler(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  // No SA_RESTART: a read or write that blocks is left on a signal.
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

bool IsIgnored(int signal) {
  struct sigaction action = {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

// Milliseconds for poll(2), rounded up: it is not to come back too early again and again.
int PollTime(Clock::time_point until) {
  if (until == EventLoop::kNever) return -1;
  const auto left = until - Clock::now();
  if (left <= Clock::duration::zero()) return 0;
  constexpr std::chrono::hours kMost(1);
  return static_cast<int>(
      std::chrono::ceil<std::chrono::milliseconds>(std::min<Clock::duration>(left, kMost)).count());
}

}  // namespace

EventLoop::EventLoop() {
  if (pipe2(signal_pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0)
    throw std::runtime_error("cannot make a pipe");
  // nohup(1) has it ignored.
  const bool outlives_terminal = IsIgnored(SIGHUP);
  for (const int signal : kSignals)
    if (signal != SIGHUP || !outlives_terminal) SetHandler(signal, OnSignal);
  SetHandler(SIGPIPE, SIG_IGN);
}

EventLoop::~EventLoop() {
  for (const int signal : kSignals)
    if (!IsIgnored(signal)) SetHandler(signal, SIG_DFL);
  for (const int fd : signal_pipe) close(fd);
}

void EventLoop::SetEnd(Clock::time_point end, int status) {
  end_ = end;
  end_status_ = status;
}

void EventLoop::Continue() {
  stopped_ = true;
  stop_signal = 0;
}

bool EventLoop::StoppedAgain() const { return stopped_ && stop_signal != 0; }

void EventLoop::SetInput(int fd, std::function<void()> handler) {
  input_ = fd;
  on_input_ = std::move(handler);
}

void EventLoop::SetTick(Clock::duration interval, std::function<void()> handler) {
  tick_interval_ = interval;
  on_tick_ = std::move(handler);
  next_tick_ = Clock::now() + interval;
}

void EventLoop::Tick() {
  if (!on_tick_ || (Clock::now() < next_tick_ && !window_changed)) return;
  window_changed = 0;
  next_tick_ = Clock::now() + tick_interval_;
  on_tick_();
}

short EventLoop::Wait(int fd, short events, Clock::time_point until) {
  for (;;) {
    if (!stopped_ && stop_signal != 0) throw Stop{kSignal + stop_signal};
    if (!stopped_ && Clock::now() >= end_) throw Stop{end_status_};
    std::array<pollfd, 4> fds = {{{fd, events, 0},
                                  {signal_pipe[0], POLLIN, 0},
                                  {input_, POLLIN, 0},
                                  {stopped_ ? -1 : output_, 0, 0}}};
    const Clock::time_point wake = std::min({until, stopped_ ? kNever : end_, next_tick_});
    const int ready = poll(fds.data(), fds.size(), PollTime(wake));
    if (ready < 0 && errno != EINTR) throw std::runtime_error("cannot wait");
    if (ready < 0) fds = {};
    bool signalled = std::exchange(interrupted_, false);
    if (fds[1].revents != 0) {
      std::array<char, 64> bytes{};
      while (read(signal_pipe[0], bytes.data(), bytes.size()) > 0) {
      }
      signalled = stop_signal == 0 || signalled;
    }
    if (fds[3].revents != 0) throw Stop{kSignal + SIGPIPE};
    if (fds[2].revents != 0 && on_input_) on_input_();
    Tick();
    signalled = std::exchange(interrupted_, false) || signalled;
    if (fds[0].revents != 0) return fds[0].revents;
    if (signalled || Clock::now() >= until) {
      if (!stopped_ && stop_signal != 0) throw Stop{kSignal + stop_signal};
      return 0;
    }
  }
}

}  // namespace pg_live
