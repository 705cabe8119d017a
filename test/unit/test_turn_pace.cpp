// Tests of model/turn_pace.hpp.
#include "check.hpp"
#include "model/turn_pace.hpp"

namespace live_queries {
namespace {

constexpr int64_t kSecond = 1000 * 1000;

// The pace that it comes to where so many come a second.
int64_t PaceAt(int64_t rate) {
  TurnPace pace;
  int64_t us = TurnPace::kLeastUs;
  int64_t now = kSecond;
  for (int i = 0; i < 1000; ++i, now += us)
    us = pace.Next(static_cast<uint64_t>(rate * (now - kSecond) / kSecond), now);
  return us;
}

TEST(WhereFewComeTheyWaitTheLeast) {
  CHECK(PaceAt(0) == TurnPace::kLeastUs);
  CHECK(PaceAt(1) == TurnPace::kLeastUs);
  CHECK(PaceAt(5000) == TurnPace::kLeastUs);
}

TEST(WhereManyComeTurnsAreFurtherApart) {
  CHECK(PaceAt(16000) >= 2 * TurnPace::kLeastUs * 9 / 10);
  CHECK(PaceAt(16000) <= 2 * TurnPace::kLeastUs * 11 / 10);
  CHECK(PaceAt(40000) == TurnPace::kMostUs);
  CHECK(PaceAt(1000000000) == TurnPace::kMostUs);
}

TEST(OneThatComesAfterManyDoesNotWaitForThem) {
  TurnPace pace;
  CHECK(pace.Next(0, kSecond) == TurnPace::kLeastUs);
  CHECK(pace.Next(100, kSecond + 1000) == TurnPace::kMostUs);
  CHECK(pace.Next(101, kSecond + 3000) == TurnPace::kLeastUs);
}

TEST(AClockThatIsSetBackIsNoReasonToWait) {
  TurnPace pace;
  CHECK(pace.Next(10, kSecond) == TurnPace::kLeastUs);
  CHECK(pace.Next(1000, kSecond / 2) == TurnPace::kLeastUs);
  CHECK(pace.Next(1000, kSecond / 2) == TurnPace::kLeastUs);
}

}  // namespace
}  // namespace live_queries
