// Applies changes as the README's section "Messages" says a client does.
#include "pg_live/live_result.hpp"

#include <algorithm>
#include <iterator>
#include <map>
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
  if (order_.empty()) return rows_.end();
  return std::find_if(rows_.begin(), rows_.end(),
                      [&](const Row& other) { return order_.Before(row, other.row); });
}

void LiveResult::Clear(std::vector<Difference>* differences) {
  for (const Row& row : rows_)
    differences->push_back({Difference::Kind::kLeft, row.key, row.row, {}, {}});
  places_.clear();
  rows_.clear();
}

bool LiveResult::ApplyOne(const Change& change, std::vector<Difference>* differences) {
  if (change.op == Change::Op::kClear) {
    Clear(differences);
    return true;
  }
  if (change.op == Change::Op::kInsert) {
    Insert(InOrder(change.row), change.key, change.row);
    differences->push_back({Difference::Kind::kEntered, change.key, change.row, {}, {}});
    return true;
  }
  const Place place = Find(change.key);
  if (place == rows_.end()) return false;
  if (change.op == Change::Op::kDelete) {
    // The row as it was shown: what the message has may be the key alone.
    differences->push_back({Difference::Kind::kLeft, change.key, place->row, {}, KeyBefore(place)});
    Erase(place);
    return true;
  }
  const Json old = change.old.IsNull() ? FormerValues(place->row, change.row) : change.old;
  differences->push_back({Difference::Kind::kChanged, change.key, change.row, old, {}});
  const bool moves = order_.Before(place->row, change.row) || order_.Before(change.row, place->row);
  place->row = change.row;
  if (moves) {
    const Row row = *place;
    Erase(place);
    Insert(InOrder(row.row), row.key, row.row);
  }
  return true;
}

// What the message deletes or updates is taken out of the list; then the updated and inserted rows
// are put in at their positions, the least first.
bool LiveResult::ApplyPlaced(const std::vector<Change>& changes,
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
      if (place == rows_.end()) return false;
      if (change.op == Change::Op::kDelete) {
        differences->push_back(
            {Difference::Kind::kLeft, change.key, place->row, {}, KeyBefore(place)});
      } else {
        const Json old = change.old.IsNull() ? FormerValues(place->row, change.row) : change.old;
        differences->push_back({Difference::Kind::kChanged, change.key, change.row, old, {}});
      }
      Erase(place);
    }
    if (change.op == Change::Op::kDelete) continue;
    if (!change.position) return false;
    placed.push_back(&change);
  }
  std::stable_sort(placed.begin(), placed.end(), [](const Change* left, const Change* right) {
    return *left->position < *right->position;
  });
  Place at = rows_.begin();
  size_t position = 0;
  for (const Change* change : placed) {
    for (; position < *change->position; ++position, ++at)
      if (at == rows_.end()) return false;
    Insert(at, change->key, change->row);
    ++position;
  }
  return true;
}

bool LiveResult::Apply(const std::vector<Change>& changes, std::vector<Difference>* differences) {
  const bool placed = std::any_of(changes.begin(), changes.end(),
                                  [](const Change& change) { return change.position.has_value(); });
  if (placed) return ApplyPlaced(changes, differences);
  return std::all_of(changes.begin(), changes.end(),
                     [&](const Change& change) { return ApplyOne(change, differences); });
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
