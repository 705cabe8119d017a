// Calls the functions of the extension, and reads a snapshot in batches.
#include "pg_live/live_query.hpp"

#include <optional>
#include <utility>

#include "pg_live/array_literal.hpp"

namespace pg_live {

LiveQuery::LiveQuery(size_t number, QueryText text)
    : number_(number), id_("pg_live-" + std::to_string(number)), text_(std::move(text)) {}

std::vector<Difference> LiveQuery::Subscribe(Connection* connection) {
  const Connection::Table table =
      connection->Query("SELECT strategy, seq, columns FROM live.subscribe($1, $2, $3::text[])",
                        {id_, text_.query, ArrayLiteral(text_.params)}, Patience::kLong);
  strategy_ = table.at(0).at(0);
  seq_ = table.at(0).at(1);
  ResultShape shape = ParseShape(table.at(0).at(2));
  columns_ = std::move(shape.columns);
  result_.SetOrder(std::move(shape.order));
  return ReadSnapshot(connection);
}

void LiveQuery::RequestRefresh(Connection* connection) {
  connection->Query("SELECT live.refresh($1)", {id_}, Patience::kLong);
}

std::vector<Difference> LiveQuery::Refresh(Connection* connection, const std::string& at_seq) {
  if (!at_seq.empty()) seq_ = at_seq;
  return ReadSnapshot(connection);
}

// In batches; one that is not full is the last.
std::vector<Difference> LiveQuery::ReadSnapshot(Connection* connection) {
  constexpr size_t kBatch = 10000;
  std::vector<Row> rows;
  for (size_t batch = kBatch; batch == kBatch;) {
    const Connection::Table table =
        connection->Query("SELECT key, \"row\" FROM live.snapshot($1, $2::int)",
                          {id_, std::to_string(kBatch)}, Patience::kLong);
    for (const std::vector<std::string>& fields : table) {
      const std::optional<Json> key = ParseJson(fields.at(0));
      std::optional<Json> row = ParseJson(fields.at(1));
      if (!key || !row) throw std::runtime_error("the first result has something that is not JSON");
      rows.push_back({key->Dump(), std::move(*row)});
    }
    batch = table.size();
  }
  has_result_ = true;
  reset_at_.reset();
  return result_.Replace(rows);
}

bool LiveQuery::Apply(const Message& message, std::vector<Difference>* differences) {
  seq_ = message.seq;
  return result_.Apply(message.changes, differences);
}

}  // namespace pg_live
