// The rows of a result as they are shown for a moment after a change: what entered or changed is
// marked, and what has left still stands where it was.
//
// Owns: the marks and the rows that have left. Pure.
#pragma once

#include <chrono>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pg_live/live_result.hpp"
#include "pg_live/result_columns.hpp"

namespace pg_live {

enum class Mark { kNone, kEntered, kChanged, kLeft };

struct MarkedRow {
  const Json* row = nullptr;
  Mark mark = Mark::kNone;
  const Json* old = nullptr;  // of one that has changed: the columns that have
};

class MarkedRows {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::chrono::milliseconds kMoment{1500};

  void Note(const std::vector<Difference>& differences, Time now);

  // Forgets what is older than a moment; true if there was something.
  bool Forget(Time now);

  // The rows with their marks, of those that contain `filter` in some column, whatever its case.
  // They point into this and into `rows`.
  std::vector<MarkedRow> Show(const LiveResult::Rows& rows,
                              const std::vector<ResultColumn>& columns,
                              std::string_view filter) const;

 private:
  struct Noted {
    Mark mark;
    Json old;
    Time when;
  };
  struct Gone {
    std::string key;
    std::string after;
    Json row;
    Time when;
  };

  std::unordered_map<std::string, Noted> marks_;
  std::list<Gone> gone_;
};

// Whether a row shows that text in some column, whatever its case.
bool Contains(const Json& row, const std::vector<ResultColumn>& columns, std::string_view filter);

}  // namespace pg_live
