// One live query: its subscription on a connection, and its result.
//
// Owns: the calls of live.subscribe, live.snapshot and live.refresh. What comes of a message is its
// session's to decide.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pg_live/connection.hpp"
#include "pg_live/live_result.hpp"
#include "pg_live/options.hpp"
#include "pg_live/result_columns.hpp"

namespace pg_live {

class LiveQuery {
 public:
  // `number` counts from 1.
  LiveQuery(size_t number, QueryText text);

  // Each returns by what the new first result differs from the result so far, and throws as
  // Connection::Query does.
  std::vector<Difference> Subscribe(Connection* connection);
  std::vector<Difference> Refresh(Connection* connection, const std::string& at_seq);

  // The server could not keep the result: the rows stay as they were until it is read again.
  void Reset(std::string seq) { reset_at_ = std::move(seq); }
  bool is_reset() const { return reset_at_.has_value(); }
  // The position of the reset, which is forgotten.
  std::string TakeReset() { return std::exchange(reset_at_, std::nullopt).value_or(""); }

  // Asks for a new snapshot, which Refresh then reads.
  void RequestRefresh(Connection* connection);

  // False if the result is out of step, and has to be refreshed.
  bool Apply(const Message& message, std::vector<Difference>* differences);

  void End(const std::string& reason) {
    reset_at_.reset();
    ended_ = reason.empty() ? "ended" : reason;
  }

  const std::string& id() const { return id_; }
  size_t number() const { return number_; }
  const QueryText& text() const { return text_; }
  const std::string& strategy() const { return strategy_; }
  const std::string& seq() const { return seq_; }
  const std::vector<ResultColumn>& columns() const { return columns_; }
  const LiveResult& result() const { return result_; }
  bool has_result() const { return has_result_; }
  bool has_ended() const { return !ended_.empty(); }
  const std::string& ended() const { return ended_; }

 private:
  std::vector<Difference> ReadSnapshot(Connection* connection);

  size_t number_;
  std::string id_;
  QueryText text_;
  std::string strategy_;
  std::string seq_;
  std::vector<ResultColumn> columns_;
  LiveResult result_;
  bool has_result_ = false;
  std::optional<std::string> reset_at_;
  std::string ended_;
};

}  // namespace pg_live
