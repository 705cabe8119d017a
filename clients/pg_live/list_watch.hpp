// pg_live --list: the live queries of a server, looked at every second, as top shows processes.
//
// Owns: asking the server, the screen of it, and killing.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "pg_live/connection.hpp"
#include "pg_live/event_loop.hpp"
#include "pg_live/live_query_list.hpp"
#include "pg_live/options.hpp"
#include "pg_live/terminal.hpp"

namespace pg_live {

class ListWatch {
 public:
  ListWatch(EventLoop* loop, const Options& options) : loop_(loop), options_(options) {}

  // On a terminal until a Stop, which it throws; elsewhere writes the list once and throws one.
  [[noreturn]] void Run(bool on_screen);

 private:
  void Connect();
  void Look();
  [[noreturn]] void WriteOnce();
  void Kill(const std::string& live_id);
  void OnKeys();
  void OnKey(const KeyPress& press);
  void Draw();
  void DrawQueries(size_t line, size_t height);

  EventLoop* loop_;
  const Options& options_;
  std::string password_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Terminal> terminal_;
  LiveQueryList list_;
  std::string totals_;
  std::string connection_name_;
  std::string said_;
  std::string selected_;  // by its live_id, which stays while the list moves
  std::string to_confirm_;
  std::string to_kill_;
};

}  // namespace pg_live
