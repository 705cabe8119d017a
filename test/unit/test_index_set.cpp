// Tests of model/index_set.hpp.
#include "check.hpp"
#include "model/index_set.hpp"

namespace live_queries {
namespace {

TEST(AnIndexIsInASetOnce) {
  IndexSet set;
  CHECK(set.empty() && !set.HasSeveral());
  set.Add(0);
  set.Add(0);
  CHECK(set == IndexSet::Of(0) && set.Has(0) && !set.Has(1) && !set.HasSeveral());
  set.Add(IndexSet::kCapacity - 1);
  CHECK(set.HasSeveral() && set.Has(31) && set.bits() == 0x80000001);
  set.Remove(0);
  set.Remove(0);
  CHECK(set == IndexSet::Of(31) && !set.HasSeveral());
}

TEST(ASetIsWalkedFromEitherEnd) {
  const IndexSet set(0x80000106);
  int sum = 0;
  for (IndexSet left = set; !left.empty();) sum = sum * 100 + left.TakeFirst();
  CHECK(sum == 1020831);
  sum = 0;
  for (IndexSet left = set; !left.empty();) sum = sum * 100 + left.TakeLast();
  CHECK(sum == 31080201);
}

TEST(SetsAreJoinedAndTakenApart) {
  const IndexSet some(0b0111);
  const IndexSet others(0b1100);
  CHECK(some.With(others) == IndexSet(0b1111));
  CHECK(some.Without(others) == IndexSet(0b0011));
  CHECK(some.With({}) == some && some.Without({}) == some && some.Without(some).empty());
}

}  // namespace
}  // namespace live_queries
