// Applies changes as the README's section "Messages" says a client does.
#include "pg_live/live_result.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace pg_live {

namespace {

// The members of `before` that are others in `now`.
Json FormerValues(const Json& before, const Json& now) {
  Json former = JsonObject({});
  for (const JsonMember& member : before.members) {
    const Json* value = now.Find(member.name);
    if (value == nullptr || value->Dump() != member.value.Dump()) former.members.push_back(member);
  }
  return former;
}

}  // namespace

LiveResult::Place LiveResult::Find(const std::string& key) {
  const auto [first, last] = places_.equal_range(key);
  if (first == last) return rows_.end();
  if (std::next(first) == last) return first->second;
  // Of equal rows the first: it is looked for where they stand.
  return std::find_if(rows_.begin(), rows_.end(), [&](const Row& row) { return row.key == key; });
}

void LiveResult::Insert(Place before, const std::string& key, const Json& row) {
  const Place place = rows_.insert(before, {key, row});
  places_.emplace(key, place);
}

void LiveResult::Erase(Place place) {
  const auto [first, last] = places_.equal_range(place->key);
  const auto found =
      std::find_if(first, last, [&](const auto& entry) { return entry.second == place; });
  if (found != last) places_.erase(found);
  rows_.erase(place);
}

std::string LiveResult::KeyBefore(Place place) {
  return place == rows_.begin() ? std::string() : std::prev(place)->key;
}

LiveResult::Place LiveResult::InOrder(const Json& row) {
  // From the end, where most rows belong that come later.
  Place place = rows_.end();
  if (order_.empty()) return place;
  while (place != rows_.begin() && order_.Before(row, std::prev(place)->row)) --place;
  return place;
}

void LiveResult::Clear(std::vector<Difference>* differences) {
  for (const Row& row : rows_)
    differences->push_back({Difference::Kind::kLeft, row.key, row.row, {}, {}});
  places_.clear();
  rows_.clear();
}

// Whether there is what the changes delete or update, and whether their positions are those of a
// list without gaps.
bool LiveResult::Fits(const std::vector<Change>& changes, bool placed) const {
  std::unordered_map<std::string_view, size_t> counts;
  bool cleared = false;
  const auto count_of = [&](const std::string& key) -> size_t& {
    const auto [entry, is_new] = counts.try_emplace(key, 0);
    if (is_new && !cleared) entry->second = places_.count(key);
    return entry->second;
  };
  size_t size = rows_.size();
  std::vector<size_t> positions;
  for (const Change& change : changes) {
    if (change.op == Change::Op::kClear) {
      counts.clear();
      cleared = true;
      size = 0;
      continue;
    }
    const bool takes_out =
        change.op == Change::Op::kDelete || (placed && change.op == Change::Op::kUpdate);
    if (change.op == Change::Op::kInsert) {
      // In a list they come last.
      if (!placed) ++count_of(change.key);
    } else if (size_t& count = count_of(change.key); count == 0) {
      return false;
    } else if (takes_out) {
      --count;
      --size;
    }
    if (!placed || change.op == Change::Op::kDelete) continue;
    if (!change.position) return false;
    positions.push_back(*change.position);
  }
  std::sort(positions.begin(), positions.end());
  return std::all_of(positions.begin(), positions.end(),
                     [&](size_t position) { return position <= size++; });
}

Difference LiveResult::DifferenceOf(const Change& change, Place place) {
  // The row as it was shown: what the message has may be the key alone.
  if (change.op == Change::Op::kDelete)
    return {Difference::Kind::kLeft, change.key, place->row, {}, KeyBefore(place)};
  Json old = change.old.IsNull() ? FormerValues(place->row, change.row) : change.old;
  return {Difference::Kind::kChanged, change.key, change.row, std::move(old), {}};
}

void LiveResult::ApplyOne(const Change& change, std::vector<Difference>* differences) {
  if (change.op == Change::Op::kClear) {
    Clear(differences);
    return;
  }
  if (change.op == Change::Op::kInsert) {
    Insert(InOrder(change.row), change.key, change.row);
    differences->push_back({Difference::Kind::kEntered, change.key, change.row, {}, {}});
    return;
  }
  const Place place = Find(change.key);
  differences->push_back(DifferenceOf(change, place));
  if (change.op == Change::Op::kDelete) {
    Erase(place);
    return;
  }
  const bool moves = order_.Before(place->row, change.row) || order_.Before(change.row, place->row);
  place->row = change.row;
  if (moves) {
    const Row row = *place;
    Erase(place);
    Insert(InOrder(row.row), row.key, row.row);
  }
}

// What the message deletes or updates is taken out of the list; then the updated and inserted rows
// are put in at their positions, the least first.
void LiveResult::ApplyPlaced(const std::vector<Change>& changes,
                             std::vector<Difference>* differences) {
  std::vector<const Change*> placed;
  for (const Change& change : changes) {
    if (change.op == Change::Op::kClear) {
      Clear(differences);
      continue;
    }
    if (change.op == Change::Op::kInsert) {
      differences->push_back({Difference::Kind::kEntered, change.key, change.row, {}, {}});
    } else {
      const Place place = Find(change.key);
      differences->push_back(DifferenceOf(change, place));
      Erase(place);
    }
    if (change.op != Change::Op::kDelete) placed.push_back(&change);
  }
  std::stable_sort(placed.begin(), placed.end(), [](const Change* left, const Change* right) {
    return *left->position < *right->position;
  });
  Place at = rows_.begin();
  size_t position = 0;
  for (const Change* change : placed) {
    for (; position < *change->position; ++position) ++at;
    Insert(at, change->key, change->row);
    ++position;
  }
}

bool LiveResult::Apply(const std::vector<Change>& changes, std::vector<Difference>* differences) {
  const bool placed = std::any_of(changes.begin(), changes.end(),
                                  [](const Change& change) { return change.position.has_value(); });
  if (!Fits(changes, placed)) return false;
  if (placed)
    ApplyPlaced(changes, differences);
  else
    for (const Change& change : changes) ApplyOne(change, differences);
  return true;
}

std::vector<Difference> LiveResult::Replace(const std::vector<Row>& rows) {
  std::vector<Difference> differences;
  std::unordered_map<std::string, std::vector<const Row*>> coming;
  for (const Row& row : rows) coming[row.key].push_back(&row);
  // Rows that stay are taken out of those that come; of equal keys one each.
  std::unordered_map<const Row*, Json> stay;
  for (Place place = rows_.begin(); place != rows_.end(); ++place) {
    std::vector<const Row*>& same = coming[place->key];
    if (same.empty()) {
      differences.push_back(
          {Difference::Kind::kLeft, place->key, place->row, {}, KeyBefore(place)});
    } else {
      stay.emplace(same.back(), place->row);
      same.pop_back();
    }
  }
  for (const Row& row : rows) {
    const auto found = stay.find(&row);
    if (found == stay.end()) {
      differences.push_back({Difference::Kind::kEntered, row.key, row.row, {}, {}});
    } else if (Json old = FormerValues(found->second, row.row); !old.members.empty()) {
      differences.push_back({Difference::Kind::kChanged, row.key, row.row, std::move(old), {}});
    }
  }
  places_.clear();
  rows_.clear();
  for (const Row& row : rows) Insert(rows_.end(), row.key, row.row);
  return differences;
}

}  // namespace pg_live
