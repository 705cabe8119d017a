// Compares values as far as a client can: what it knows of them is their JSON.
#include "pg_live/result_columns.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>

namespace pg_live {

namespace {

bool IsNumberType(std::string_view type) {
  constexpr std::array<std::string_view, 6> kTypes = {"smallint", "integer",          "bigint",
                                                      "real",     "double precision", "oid"};
  return type.starts_with("numeric") ||
         std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

// Below 0, 0 or above 0, as memcmp.
int CompareValues(const Json& left, const Json& right) {
  if (left.kind == Json::Kind::kNumber && right.kind == Json::Kind::kNumber) {
    const long double a = std::strtold(left.text.c_str(), nullptr);
    const long double b = std::strtold(right.text.c_str(), nullptr);
    return a < b ? -1 : a > b ? 1 : 0;
  }
  if (left.kind == right.kind && left.items.empty() && left.members.empty())
    return left.text.compare(right.text);
  return left.Dump().compare(right.Dump());
}

}  // namespace

bool RowOrder::Before(const Json& left, const Json& right) const {
  static const Json kNull;
  for (const Term& term : terms_) {
    const Json* found_left = left.Find(term.column);
    const Json* found_right = right.Find(term.column);
    const Json& a = found_left == nullptr ? kNull : *found_left;
    const Json& b = found_right == nullptr ? kNull : *found_right;
    if (a.IsNull() != b.IsNull()) return a.IsNull() == term.nulls_first;
    const int compared = CompareValues(a, b);
    if (compared != 0) return term.descending ? compared > 0 : compared < 0;
  }
  return false;
}

ResultShape ParseShape(std::string_view json) {
  ResultShape shape;
  const std::optional<Json> columns = ParseJson(json);
  if (!columns) return shape;
  std::map<long, RowOrder::Term> terms;
  for (const Json& item : columns->items) {
    const Json* name = item.Find("name");
    const Json* type = item.Find("type");
    if (name == nullptr || type == nullptr) continue;
    shape.columns.push_back({name->text, type->text, IsNumberType(type->text)});
    const Json* order = item.Find("order");
    if (order == nullptr) continue;
    const Json* descending = item.Find("descending");
    const Json* nulls_first = item.Find("nulls_first");
    terms[std::strtol(order->text.c_str(), nullptr, 10)] = {
        name->text, descending != nullptr && descending->text == "true",
        nulls_first != nullptr && nulls_first->text == "true"};
  }
  // A place that no column has belongs to something that is not shown: what comes after it says
  // nothing.
  std::vector<RowOrder::Term> known;
  for (const auto& [place, term] : terms) {
    if (place != static_cast<long>(known.size())) break;
    known.push_back(term);
  }
  shape.order = RowOrder(std::move(known));
  return shape;
}

}  // namespace pg_live
