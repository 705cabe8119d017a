// Outputs for pipes, files and scripts: JSON, a line for each change, a table, and a command for
// each message.
//
// Owns: how these look; and writing to standard output, whose reader may be slow, or gone.
#pragma once

#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "pg_live/event_loop.hpp"
#include "pg_live/output.hpp"

namespace pg_live {

// Standard output. Ends the program, as SIGPIPE would, where its reader is gone.
class StandardOutput {
 public:
  explicit StandardOutput(EventLoop* loop) : loop_(loop) { loop->SetOutput(STDOUT_FILENO); }

  void Add(std::string_view text);
  void Flush();

 private:
  EventLoop* loop_;
  std::string waiting_;
};

// Makes a JSON message of all that is told, as those of the server.
class MessageOutput : public Output {
 public:
  using Output::Output;

  void FirstResult(const LiveQuery& query) override;
  void Told(const LiveQuery& query, const Message& message,
            const std::vector<Difference>& differences) override;
  void CaughtUp(const LiveQuery& query, const std::vector<Difference>& differences) override;

 protected:
  virtual void Show(const Json& message) = 0;
};

class JsonOutput : public MessageOutput {
 public:
  JsonOutput(EventLoop* loop, std::optional<size_t> count) : MessageOutput(count), out_(loop) {}
  void Flush() override { out_.Flush(); }

 protected:
  void Show(const Json& message) override;

 private:
  StandardOutput out_;
};

class ExecOutput : public MessageOutput {
 public:
  ExecOutput(EventLoop* loop, std::string command, std::optional<size_t> count)
      : MessageOutput(count), loop_(loop), command_(std::move(command)) {}

 protected:
  void Show(const Json& message) override;

 private:
  EventLoop* loop_;
  std::string command_;
};

class ChangesOutput : public Output {
 public:
  ChangesOutput(EventLoop* loop, bool numbered, std::optional<size_t> count)
      : Output(count), out_(loop), numbered_(numbered) {}

  void FirstResult(const LiveQuery& query) override;
  void Told(const LiveQuery& query, const Message& message,
            const std::vector<Difference>& differences) override;
  void CaughtUp(const LiveQuery& query, const std::vector<Difference>& differences) override;
  void Flush() override { out_.Flush(); }

 private:
  void Line(const LiveQuery& query, char sign, const Json& row, const Json& old);

  StandardOutput out_;
  bool numbered_;
};

class TableOutput : public Output {
 public:
  explicit TableOutput(EventLoop* loop) : Output({}), out_(loop) {}

  void FirstResult(const LiveQuery& query) override;
  void Told(const LiveQuery& /*query*/, const Message& /*message*/,
            const std::vector<Difference>& /*differences*/) override {}
  void CaughtUp(const LiveQuery& /*query*/,
                const std::vector<Difference>& /*differences*/) override {}
  void AllRead() override { Complete(); }
  void Flush() override { out_.Flush(); }

 private:
  StandardOutput out_;
};

}  // namespace pg_live
