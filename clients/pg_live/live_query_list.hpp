// The live queries of a server, and how many changes each is told in a second.
//
// Owns: ListedQuery, and the rates between two looks at the server. Pure.
#pragma once

#include <chrono>
#include <string>
#include <unordered_map>
#include <vector>

namespace pg_live {

struct ListedQuery {
  std::string live_id;
  std::string user;
  std::string database;
  std::string strategy;
  std::string status;
  long long messages = 0;
  long long changes = 0;
  long long pending_bytes = 0;
  long long memory_bytes = 0;  // of the server's shared memory, beside those
  std::string lag;             // in bytes, of what watches it; empty where that is not known
  std::string last_told;       // how long ago
  std::string text;            // the query, or why it has ended
  double changes_per_second = 0;
};

class LiveQueryList {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // What the server shows now. Sorted by changes per second, the most first, then by name.
  void Take(std::vector<ListedQuery> queries, Time now);

  const std::vector<ListedQuery>& queries() const { return queries_; }

 private:
  std::vector<ListedQuery> queries_;
  std::unordered_map<std::string, long long> changes_before_;
  Time before_{};
};

// 512 B, 20 kB, 1.5 MB.
std::string BytesText(long long bytes);

}  // namespace pg_live
