// Tests of model/long_evaluations.hpp.
#include "check.hpp"
#include "model/long_evaluations.hpp"

namespace live_queries {
namespace {

constexpr int64_t kSecond = 1000 * 1000;

// So many evaluations of `us`, `apart` from each other; how many of them until it is too much, 0:
// it never is.
int UntilTooMuch(int64_t us, int64_t apart, int count) {
  LongEvaluations account;
  int64_t now = kSecond;
  for (int i = 1; i <= count; ++i, now += apart)
    if (account.Took(us, now)) return i;
  return 0;
}

TEST(WhatNobodyNoticesIsNeverTooMuch) {
  CHECK(UntilTooMuch(LongEvaluations::kLongUs - 1, LongEvaluations::kLongUs, 100000) == 0);
}

TEST(LongOnesInARowAreTooMuch) {
  CHECK(UntilTooMuch(LongEvaluations::kLongUs, LongEvaluations::kLongUs, 1000) == 22);
  CHECK(UntilTooMuch(100 * 1000, 100 * 1000, 1000) == 11);
}

TEST(OneIsNotHoweverLong) {
  CHECK(UntilTooMuch(1000 * kSecond, 1000 * kSecond, 1000) == 0);
  CHECK(UntilTooMuch(1000 * kSecond, kSecond, 1000) == 4);
}

TEST(LongOnesWithinTheShareAreNot) {
  CHECK(UntilTooMuch(50 * 1000, kSecond, 100000) == 0);
  CHECK(UntilTooMuch(51 * 1000, kSecond, 100000) == 951);
}

TEST(AClockThatIsSetIsNoReason) {
  LongEvaluations account;
  for (const int64_t now : {1000 * kSecond, kSecond, int64_t{INT64_MAX}, int64_t{0}})
    CHECK(!account.Took(100 * 1000, now));
}

}  // namespace
}  // namespace live_queries
