// The results on a terminal, each in a tile, changing in place.
//
// Owns: the layout, the keys, and the line of status. What is in a tile is tile.hpp's.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pg_live/change_rate.hpp"
#include "pg_live/event_loop.hpp"
#include "pg_live/output.hpp"
#include "pg_live/terminal.hpp"
#include "pg_live/tile.hpp"

namespace pg_live {

class Screen : public Output {
 public:
  Screen(EventLoop* loop, std::optional<size_t> count) : Output(count), loop_(loop) {}

  void FirstResult(const LiveQuery& query) override;
  void Told(const LiveQuery& query, const Message& message,
            const std::vector<Difference>& differences) override;
  void CaughtUp(const LiveQuery& query, const std::vector<Difference>& differences) override;
  void Connected(const Connection& connection, bool again) override;
  void Lost(const std::string& why, bool first_try) override;
  void Say(const std::string& sentence) override;
  void AllRead() override;
  void Serve(Connection* connection) override;
  bool StaysOpen() const override { return true; }

  std::string last_said() const override { return said_; }

 private:
  void Note(const LiveQuery& query, const std::vector<Difference>& differences);
  void OnKeys();
  void OnKey(const KeyPress& press);
  void OnFilterKey(const KeyPress& press);
  void Scroll(const KeyPress& press);
  void SetPaused(bool paused);
  void Tick();
  void Draw();
  void DrawStatus(size_t line);
  void DrawHelp();
  std::string Status();
  size_t TileHeight() const;

  EventLoop* loop_;
  std::unique_ptr<Terminal> terminal_;
  std::vector<Tile> tiles_;
  size_t focus_ = 0;
  std::string connection_name_;
  bool is_live_ = false;
  std::string said_;
  ChangeRate rate_;
  std::optional<std::chrono::milliseconds> lag_;
  std::string filter_;
  bool filters_ = false;  // the filter is being typed
  bool paused_ = false;
  size_t missed_ = 0;  // changes while paused
  bool helps_ = false;
  bool wants_explanation_ = false;
  std::vector<std::string> explanation_;
  Clock::time_point drawn_{};
  bool is_stale_ = true;  // something differs from what is drawn
};

}  // namespace pg_live
