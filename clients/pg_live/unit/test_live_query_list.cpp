// The list of live queries.
#include "../../../test/unit/check.hpp"
#include "pg_live/live_query_list.hpp"

using pg_live::BytesText;
using pg_live::ListedQuery;
using pg_live::LiveQueryList;

namespace {

constexpr LiveQueryList::Time kStart{std::chrono::seconds(1000)};

ListedQuery Listed(const char* live_id, long long changes) {
  ListedQuery query;
  query.live_id = live_id;
  query.changes = changes;
  return query;
}

}  // namespace

TEST(RatesAreOfTheTimeBetweenTwoLooks) {
  LiveQueryList list;
  list.Take({Listed("b", 100), Listed("a", 5)}, kStart);
  CHECK_EQ(list.queries()[0].live_id, "a");
  CHECK_EQ(list.queries()[1].changes_per_second, 0.0);
  list.Take({Listed("a", 5), Listed("b", 110), Listed("c", 1000)},
            kStart + std::chrono::seconds(2));
  CHECK_EQ(list.queries()[0].live_id, "b");
  CHECK_EQ(list.queries()[0].changes_per_second, 5.0);
  CHECK_EQ(list.queries()[2].changes_per_second, 0.0);
  // One of that name has begun anew.
  list.Take({Listed("b", 1)}, kStart + std::chrono::seconds(3));
  CHECK_EQ(list.queries()[0].changes_per_second, 0.0);
}

TEST(Bytes) {
  CHECK_EQ(BytesText(0), "0 B");
  CHECK_EQ(BytesText(1023), "1023 B");
  CHECK_EQ(BytesText(1536), "1.5 kB");
  CHECK_EQ(BytesText(20LL << 20), "20 MB");
}
