// What a session tells those who show it.
//
// Owns: the interface Output, and the count of --count.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "pg_live/live_query.hpp"
#include "pg_live/message.hpp"

namespace pg_live {

class Output {
 public:
  explicit Output(std::optional<size_t> count) : count_(count) {}
  virtual ~Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // The first result of a live query, which it holds.
  virtual void FirstResult(const LiveQuery& query) = 0;

  // A message, which has been applied, and what came of it.
  virtual void Told(const LiveQuery& query, const Message& message,
                    const std::vector<Difference>& differences) = 0;

  // Another first result, after a reset or a lost connection, which differs from what was shown.
  virtual void CaughtUp(const LiveQuery& query, const std::vector<Difference>& differences) = 0;

  // There is a connection, `again` after one was lost, or none any more.
  virtual void Connected(const Connection& connection, bool again);
  virtual void Lost(const std::string& why, bool first_try);

  // A sentence for people.
  virtual void Say(const std::string& sentence);

  // What was said last in a place that goes away with this.
  virtual std::string last_said() const { return {}; }

  // All first results were told.
  virtual void AllRead() {}

  // Nothing more is here for now.
  virtual void Flush() {}

  // Whether this shows more after the last live query has ended.
  virtual bool StaysOpen() const { return false; }

  // What the user asked the server for meanwhile.
  virtual void Serve(Connection* /*connection*/) {}

  // Whether all has been told that was asked for.
  bool complete() const { return complete_ || (count_ && told_ >= *count_); }

 protected:
  void CountOne() { ++told_; }
  void Complete() { complete_ = true; }

 private:
  std::optional<size_t> count_;
  size_t told_ = 0;
  bool complete_ = false;
};

}  // namespace pg_live
