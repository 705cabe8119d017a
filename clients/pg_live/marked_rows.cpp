// Rows that have left know the key of the row that stood before them, which may have left as well.
#include "pg_live/marked_rows.hpp"

#include <algorithm>
#include <cctype>

#include "pg_live/table.hpp"

namespace pg_live {

namespace {

bool SameLetter(char left, char right) {
  return std::tolower(static_cast<unsigned char>(left)) ==
         std::tolower(static_cast<unsigned char>(right));
}

}  // namespace

bool Contains(const Json& row, const std::vector<ResultColumn>& columns, std::string_view filter) {
  if (filter.empty()) return true;
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string text = CellText(CellOf(row, columns[i].name, i));
    if (std::search(text.begin(), text.end(), filter.begin(), filter.end(), SameLetter) !=
        text.end())
      return true;
  }
  return false;
}

void MarkedRows::Note(const std::vector<Difference>& differences, Time now) {
  constexpr size_t kMostGone = 500;
  for (const Difference& difference : differences) {
    if (difference.kind == Difference::Kind::kLeft) {
      marks_.erase(difference.key);
      gone_.push_back({difference.key, difference.after, difference.row, now});
      if (gone_.size() > kMostGone) gone_.pop_front();
      continue;
    }
    std::erase_if(gone_, [&](const Gone& gone) { return gone.key == difference.key; });
    const Mark mark =
        difference.kind == Difference::Kind::kEntered ? Mark::kEntered : Mark::kChanged;
    marks_.insert_or_assign(difference.key, Noted{mark, difference.old, now});
  }
}

bool MarkedRows::Forget(Time now) {
  const auto is_old = [&](Time when) { return now - when >= kMoment; };
  const size_t marks =
      std::erase_if(marks_, [&](const auto& entry) { return is_old(entry.second.when); });
  const size_t gone = std::erase_if(gone_, [&](const Gone& row) { return is_old(row.when); });
  return marks + gone > 0;
}

std::vector<MarkedRow> MarkedRows::Show(const LiveResult::Rows& rows,
                                        const std::vector<ResultColumn>& columns,
                                        std::string_view filter) const {
  std::unordered_multimap<std::string_view, const Gone*> after;
  for (const Gone& gone : gone_) after.emplace(gone.after, &gone);
  std::vector<MarkedRow> shown;
  const auto add = [&](const MarkedRow& row) {
    if (Contains(*row.row, columns, filter)) shown.push_back(row);
  };
  // Those that stood behind a row, and behind these, and so on; each once.
  const auto add_gone = [&](std::string_view key) {
    std::vector<std::string_view> keys = {key};
    while (!keys.empty()) {
      const auto found = after.find(keys.back());
      if (found == after.end()) {
        keys.pop_back();
        continue;
      }
      const Gone* gone = found->second;
      after.erase(found);
      add({&gone->row, Mark::kLeft, nullptr});
      keys.push_back(gone->key);
    }
  };
  add_gone("");
  for (const Row& row : rows) {
    const auto found = marks_.find(row.key);
    if (found == marks_.end())
      add({&row.row, Mark::kNone, nullptr});
    else
      add({&row.row, found->second.mark, &found->second.old});
    add_gone(row.key);
  }
  // Where the row before is no longer known, at the end.
  for (const auto& [key, gone] : after) add({&gone->row, Mark::kLeft, nullptr});
  return shown;
}

}  // namespace pg_live
