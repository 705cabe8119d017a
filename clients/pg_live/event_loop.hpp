// Waiting: for a socket, for the keyboard, for a moment; and ending on a signal or when the time is
// up.
//
// Owns: the signal handlers, and the one place where this program sleeps.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

namespace pg_live {

using Clock = std::chrono::steady_clock;

// Thrown where the program is to end, with its exit status.
struct Stop {
  int status;
};

class EventLoop {
 public:
  static constexpr Clock::time_point kNever = Clock::time_point::max();

  // Takes over SIGINT, SIGTERM, SIGHUP (unless that is ignored), SIGCHLD and SIGWINCH, and ignores
  // SIGPIPE. One at a time.
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Every wait ends the program with that status from then on.
  void SetEnd(Clock::time_point end, int status);

  // Every wait ends the program, as SIGPIPE would, once the reader of the pipe `fd` has gone:
  // nothing may be written to it for long.
  void SetOutput(int fd) { output_ = fd; }

  // Calls `handler` whenever `fd` can be read, during any wait. It must not wait itself.
  void SetInput(int fd, std::function<void()> handler);

  // Calls `handler` in every wait, so often, and when the size of the window has changed. It must
  // not wait itself.
  void SetTick(Clock::duration interval, std::function<void()> handler);

  // Waits until `fd` (none, if below 0) is ready for one of `events`, a child has ended, or the
  // time has come. Returns what it is ready for, as poll(2) does. Throws Stop.
  short Wait(int fd, short events, Clock::time_point until = kNever);

  // Lets the wait that runs, or the next one, return early.
  void Interrupt() { interrupted_ = true; }

  // After a Stop: waits on, as for a child that has to be told.
  void Continue();

  // Whether another signal to end has come since.
  bool StoppedAgain() const;

 private:
  void Tick();

  Clock::time_point end_ = kNever;
  int end_status_ = 0;
  bool stopped_ = false;
  bool interrupted_ = false;
  int input_ = -1;
  int output_ = -1;
  std::function<void()> on_input_;
  Clock::duration tick_interval_{};
  Clock::time_point next_tick_ = kNever;
  std::function<void()> on_tick_;
};

}  // namespace pg_live
