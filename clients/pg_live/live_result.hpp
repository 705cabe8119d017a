// A result that is kept in step with its query: the rows of the first result, and the messages
// applied to them.
//
// Owns: the rows, their order and their keys; and what of it has changed. Pure.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "pg_live/json.hpp"
#include "pg_live/message.hpp"
#include "pg_live/result_columns.hpp"

namespace pg_live {

struct Row {
  std::string key;  // as JSON
  Json row;
};

struct Difference {
  enum class Kind { kEntered, kChanged, kLeft };

  Kind kind = Kind::kEntered;
  std::string key;
  Json row;  // as it is now; of one that has left, as it was
  Json old;  // the former values of the columns that have changed, where they are known
  std::string
      after;  // of one that has left: the key of the row before it, empty if it was the first
};

class LiveResult {
 public:
  using Rows = std::list<Row>;

  const Rows& rows() const { return rows_; }

  // The order of rows without a position, from the next change on.
  void SetOrder(RowOrder order) { order_ = std::move(order); }

  // Another first result. Returns by what it differs from the rows so far.
  std::vector<Difference> Replace(const std::vector<Row>& rows);

  // Applies the changes of one message, and adds to `differences` what became of them. False if
  // they do not fit: then nothing is applied, the result is out of step, and needs another first
  // result.
  bool Apply(const std::vector<Change>& changes, std::vector<Difference>* differences);

 private:
  using Place = Rows::iterator;

  bool Fits(const std::vector<Change>& changes, bool placed) const;
  // What a delete or an update makes of the row that is there.
  Difference DifferenceOf(const Change& change, Place place);
  void ApplyOne(const Change& change, std::vector<Difference>* differences);
  void ApplyPlaced(const std::vector<Change>& changes, std::vector<Difference>* differences);
  void Clear(std::vector<Difference>* differences);
  Place InOrder(const Json& row);
  void Insert(Place before, const std::string& key, const Json& row);
  void Erase(Place place);
  // The first row of that key; the end, if there is none.
  Place Find(const std::string& key);
  std::string KeyBefore(Place place);

  Rows rows_;
  std::unordered_multimap<std::string, Place> places_;
  RowOrder order_;
};

}  // namespace pg_live
