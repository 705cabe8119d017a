// A loop in a loop: the outer one connects, the inner one follows messages until the connection is
// lost.
#include "pg_live/session.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "pg_live/pooler.hpp"
#include "pg_live/problem.hpp"

namespace pg_live {

Session::Session(EventLoop* loop, const Options& options, Output* output)
    : loop_(loop),
      options_(options),
      output_(output),
      backoff_(options.times),
      refresh_backoff_(options.times) {
  for (const QueryText& text : options.queries) queries_.emplace_back(queries_.size() + 1, text);
}

void Session::Run() {
  for (;;) {
    try {
      ConnectAndFollow();
    } catch (const ConnectionLost& lost) {
      if (!was_live_) {
        output_->Say(lost.what());
        throw Stop{kNoConnection};
      }
      connection_.reset();
      messages_.clear();
      gathered_.clear();
      output_->Flush();
      output_->Lost(lost.what(), !std::exchange(said_lost_, true));
      Pause();
    }
  }
}

double Session::Chance() { return std::uniform_real_distribution<double>(0, 1)(random_); }

void Session::Pause() {
  const Clock::time_point now = Clock::now();
  const Clock::time_point until = now + backoff_.Next(Chance(), now);
  while (Clock::now() < until) (void)loop_->Wait(-1, 0, until);
}

void Session::ConnectAndFollow() {
  Connect();
  backoff_.Well(Clock::now());
  for (LiveQuery& query : queries_)
    if (!query.has_ended()) Subscribe(&query);
  was_live_ = true;
  output_->Connected(*connection_, std::exchange(said_lost_, false));
  output_->AllRead();
  at_a_point_ = true;
  Follow();
}

void Session::Connect() {
  const auto notice = [this](const std::string& message, const std::string& detail) {
    output_->Say(WaitingText(message, detail));
  };
  Options options = options_;
  // There may be a screen by now, and nobody before it.
  if (was_live_) options.never_ask_password = true;
  connection_ = std::make_unique<Connection>(loop_, options, &password_, notice);
  if (!IsBehindTransactionPooler(loop_, options, &password_, connection_.get())) return;
  if (was_live_) output_->Flush();
  output_->Say(TransactionPoolerText());
  throw Stop{kRefused};
}

void Session::Subscribe(LiveQuery* query) {
  const bool is_first = !query->has_result();
  try {
    TakeOver(*query, is_first, query->Subscribe(connection_.get()));
  } catch (const ServerError& error) {
    RefuseOrRetry(error);
  }
}

// What a server refuses that has served before may pass: it may be a standby that is still to be
// promoted.
void Session::RefuseOrRetry(const ServerError& error) {
  if (was_live_ && PassesByItself(error.sqlstate)) throw ConnectionLost(ProblemText(error));
  // What was told so far is written before the end; without a first result of each query nothing
  // was.
  if (was_live_) output_->Flush();
  if (IsMissingExtension(error)) {
    output_->Say(MissingExtensionText(connection_->Database(), connection_->HasExtensionFiles()));
  } else {
    output_->Say(ProblemText(error));
  }
  throw Stop{kRefused};
}

void Session::TakeOver(const LiveQuery& query, bool is_first,
                       const std::vector<Difference>& differences) {
  if (is_first)
    output_->FirstResult(query);
  else if (!differences.empty())
    output_->CaughtUp(query, differences);
}

void Session::Follow() {
  for (;;) {
    TakeMessages();
    if (!messages_.empty()) {
      std::optional<Message> message = std::move(messages_.front());
      messages_.pop_front();
      Handle(std::move(message));
      EndIfDone();
      // Signals and keys do not have to wait until no message is left.
      (void)loop_->Wait(-1, 0, Clock::now());
      output_->Serve(connection_.get());
      continue;
    }
    if (AnyReset() && Clock::now() >= refresh_at_) {
      RefreshAllReset();
      continue;
    }
    if (gathered_.empty()) at_a_point_ = true;
    EndIfDone();
    output_->Flush();
    (void)connection_->WaitForInput(AnyReset() ? refresh_at_ : EventLoop::kNever);
    output_->Serve(connection_.get());
  }
}

void Session::TakeMessages() {
  while (const std::optional<std::string> payload = connection_->NextPayload()) {
    std::optional<Message> message = ParseMessage(*payload);
    if (!message) {
      messages_.emplace_back();
      continue;
    }
    for (Message& one : ForEachReceiver(std::move(*message))) messages_.push_back(std::move(one));
  }
}

void Session::EndIfDone() {
  const auto is_empty = [](const LiveQuery& query) { return query.result().rows().empty(); };
  const bool done =
      output_->complete() || (options_.until_empty && at_a_point_ && !AnyReset() &&
                              std::all_of(queries_.begin(), queries_.end(), is_empty));
  const auto has_ended = [](const LiveQuery& query) { return query.has_ended(); };
  const bool ended = std::all_of(queries_.begin(), queries_.end(), has_ended);
  if (!done && (!ended || output_->StaysOpen())) return;
  output_->Flush();
  throw Stop{done ? kDone : kTerminated};
}

LiveQuery* Session::Find(const std::string& id) {
  const auto found = std::find_if(queries_.begin(), queries_.end(),
                                  [&](const LiveQuery& query) { return query.id() == id; });
  return found == queries_.end() ? nullptr : &*found;
}

void Session::Handle(std::optional<Message> message) {
  if (!message) {
    HandleUnreadable();
    return;
  }
  LiveQuery* query = Find(message->subscription_id);
  switch (message->type) {
    case Message::Type::kChanges:
      Gather(query, std::move(*message));
      break;
    case Message::Type::kReset:
      if (query == nullptr || query->is_reset() || query->has_ended()) break;
      WaitBeforeRefresh(query, message->seq);
      output_->Told(*query, *message, {});
      ThrowAway(*query);
      break;
    case Message::Type::kTerminated:
      if (query == nullptr) break;
      query->End(message->reason);
      output_->Told(*query, *message, {});
      output_->Say("query " + std::to_string(query->number()) + " has ended: " + message->reason +
                   " (" + message->code + ")");
      ThrowAway(*query);
      break;
    case Message::Type::kOther:
      break;
  }
}

void Session::HandleUnreadable() {
  output_->Say("a message of the server could not be read: all results are read again");
  gathered_.clear();
  for (LiveQuery& query : queries_)
    if (!query.has_ended() && !query.is_reset()) WaitBeforeRefresh(&query, {});
}

// Of a live query that is to be read again only the end of a point is of interest.
void Session::Gather(const LiveQuery* query, Message message) {
  const bool more = message.more;
  if (query != nullptr && !query->is_reset() && !query->has_ended())
    gathered_.push_back(std::move(message));
  if (!more) ShowPoint();
}

// What was gathered of a live query whose end or reset was told. The point may have ended with
// that: what was sent before the server's next answer is here once that is.
void Session::ThrowAway(const LiveQuery& query) {
  std::erase_if(gathered_, [&](const Message& part) { return part.subscription_id == query.id(); });
  if (gathered_.empty()) return;
  connection_->Ping();
  TakeMessages();
  const auto is_part = [](const std::optional<Message>& message) {
    return message && message->type == Message::Type::kChanges;
  };
  if (std::none_of(messages_.begin(), messages_.end(), is_part)) ShowPoint();
}

// Applies all that was gathered before any of it is told.
void Session::ShowPoint() {
  std::vector<std::vector<Difference>> differences(gathered_.size());
  std::vector<LiveQuery*> applied(gathered_.size());
  for (size_t i = 0; i < gathered_.size(); ++i) {
    LiveQuery* query = Find(gathered_[i].subscription_id);
    if (query->is_reset()) continue;
    if (query->Apply(gathered_[i], &differences[i])) {
      applied[i] = query;
      continue;
    }
    output_->Say("a message does not fit the result: it is read again");
    WaitBeforeRefresh(query, gathered_[i].seq);
  }
  at_a_point_ = true;
  const std::vector<Message> point = std::exchange(gathered_, {});
  for (size_t i = 0; i < point.size(); ++i)
    if (applied[i] != nullptr) output_->Told(*applied[i], point[i], differences[i]);
}

// What is reset while another live query waits is read again with it.
void Session::WaitBeforeRefresh(LiveQuery* query, const std::string& seq) {
  const Clock::time_point now = Clock::now();
  if (!AnyReset()) refresh_at_ = now + refresh_backoff_.Next(Chance(), now);
  query->Reset(seq);
}

bool Session::AnyReset() const {
  return std::any_of(queries_.begin(), queries_.end(),
                     [](const LiveQuery& query) { return query.is_reset(); });
}

void Session::RefreshAllReset() {
  for (LiveQuery& query : queries_)
    if (query.is_reset()) Refresh(&query, query.TakeReset());
  refresh_backoff_.Well(Clock::now());
}

void Session::Refresh(LiveQuery* query, const std::string& seq) {
  try {
    query->RequestRefresh(connection_.get());
  } catch (const ServerError& error) {
    constexpr std::string_view kHasEnded = "55000";  // its last message is to come, and says why
    if (error.sqlstate == kHasEnded) return;
    RefuseOrRetry(error);
  }
  // The server hands out messages between commands: what has come by now was told before the new
  // snapshot. What of it belongs to no live query any more may still end a point.
  TakeMessages();
  for (std::optional<Message>& message : messages_)
    if (message && message->subscription_id == query->id() &&
        message->type != Message::Type::kTerminated)
      message->subscription_id.clear();
  try {
    TakeOver(*query, false, query->Refresh(connection_.get(), seq));
  } catch (const ServerError& error) {
    RefuseOrRetry(error);
  }
  at_a_point_ = messages_.empty() && gathered_.empty();
}

}  // namespace pg_live
