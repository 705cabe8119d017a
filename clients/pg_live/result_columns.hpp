// The columns of a result, as live.subscribe describes them, and the order that they give its rows.
//
// Owns: ResultColumn and RowOrder. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg_live/json.hpp"

namespace pg_live {

struct ResultColumn {
  std::string name;
  std::string type;
  bool is_number = false;
};

// How a query without LIMIT orders its rows, as far as the columns that it shows tell. Numbers
// compare as such, all else by its bytes: of the collations of the server a client knows nothing.
class RowOrder {
 public:
  struct Term {
    std::string column;
    bool descending = false;
    bool nulls_first = false;
  };

  RowOrder() = default;
  explicit RowOrder(std::vector<Term> terms) : terms_(std::move(terms)) {}

  bool empty() const { return terms_.empty(); }

  // Whether `left` stands before `right`.
  bool Before(const Json& left, const Json& right) const;

 private:
  std::vector<Term> terms_;
};

struct ResultShape {
  std::vector<ResultColumn> columns;
  RowOrder order;
};

// Of the JSON that live.subscribe returns; empty where that is not what it should be.
ResultShape ParseShape(std::string_view json);

}  // namespace pg_live
