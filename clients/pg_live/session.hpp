// The life of a watch: connects, subscribes, follows the messages, and connects again.
//
// Owns: the connection, the live queries, and what is done about resets, terminations and lost
// connections, as docs/client.md says.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "pg_live/backoff.hpp"
#include "pg_live/connection.hpp"
#include "pg_live/event_loop.hpp"
#include "pg_live/live_query.hpp"
#include "pg_live/options.hpp"
#include "pg_live/output.hpp"

namespace pg_live {

class Session {
 public:
  Session(EventLoop* loop, const Options& options, Output* output);

  // Until a Stop, which it throws.
  [[noreturn]] void Run();

  const std::vector<LiveQuery>& queries() const { return queries_; }

 private:
  void ConnectAndFollow();
  void Connect();
  void Subscribe(LiveQuery* query);
  void RefuseOrRetry(const ServerError& error);
  [[noreturn]] void Follow();
  void TakeMessages();
  void Handle(std::optional<Message> message);
  void HandleUnreadable();
  LiveQuery* Find(const std::string& id);
  void Gather(const LiveQuery* query, Message message);
  void ThrowAway(const LiveQuery& query);
  void ShowPoint();
  void WaitBeforeRefresh(LiveQuery* query, const std::string& seq);
  bool AnyReset() const;
  void RefreshAllReset();
  void Refresh(LiveQuery* query, const std::string& seq);
  void TakeOver(const LiveQuery& query, bool is_first, const std::vector<Difference>& differences);
  void EndIfDone();
  void Pause();
  double Chance();

  EventLoop* loop_;
  const Options& options_;
  Output* output_;
  std::vector<LiveQuery> queries_;
  std::unique_ptr<Connection> connection_;
  // That have come, and are still to be handled; nothing where one could not be read.
  std::deque<std::optional<Message>> messages_;
  // Parts of a point whose last message is still to come. None is applied before all are.
  std::vector<Message> gathered_;
  std::string password_;
  bool was_live_ = false;
  bool said_lost_ = false;   // that the connection is lost, since it was live
  bool at_a_point_ = false;  // all results show one point in time
  Backoff backoff_;
  Backoff refresh_backoff_;
  Clock::time_point refresh_at_{};  // where a live query is reset
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace pg_live
