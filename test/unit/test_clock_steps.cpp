// Tests of model/clock_steps.hpp.
#include "check.hpp"
#include "model/clock_steps.hpp"

namespace live_queries {
namespace {

constexpr int64_t kSecond = 1000000;

TEST(TheTimeShownIsTheLastStep) {
  CHECK_EQ(TimeShownAt(0, 1000), 0);
  CHECK_EQ(TimeShownAt(kSecond - 1, 1000), 0);
  CHECK_EQ(TimeShownAt(kSecond, 1000), kSecond);
  CHECK_EQ(TimeShownAt(7 * kSecond + 299999, 100), 7 * kSecond + 200000);
}

TEST(StepsGoOnBeforeTheFirst) {
  CHECK_EQ(TimeShownAt(-1, 1000), -kSecond);
  CHECK_EQ(TimeShownAt(-kSecond, 1000), -kSecond);
  CHECK_EQ(NextTimeShown(-1, 1000), 0);
}

TEST(TheNextTimeIsLater) {
  CHECK_EQ(NextTimeShown(kSecond, 1000), 2 * kSecond);
  CHECK_EQ(NextTimeShown(kSecond - 1, 1000), kSecond);
  for (int64_t now = -3 * kSecond; now < 3 * kSecond; now += 77777) {
    CHECK(TimeShownAt(now, 100) <= now);
    CHECK(NextTimeShown(now, 100) > now);
    CHECK_EQ(TimeShownAt(NextTimeShown(now, 100), 100), NextTimeShown(now, 100));
  }
}

TEST(TheFirstStepFromAMomentIsNotBeforeIt) {
  CHECK_EQ(FirstShownFrom(kSecond, 1000), kSecond);
  CHECK_EQ(FirstShownFrom(kSecond + 1, 1000), 2 * kSecond);
  CHECK_EQ(FirstShownFrom(-1, 1000), 0);
  CHECK_EQ(FirstShownFrom(-kSecond, 1000), -kSecond);
  CHECK_EQ(FirstShownFrom(INT64_MAX, 1000), INT64_MAX);
  CHECK_EQ(FirstShownFrom(INT64_MAX - 7, 20), INT64_MAX);
}

TEST(TheNextQuarterOfAnHourIsLater) {
  CHECK_EQ(NextQuarter(0), kQuarterOfHour);
  CHECK_EQ(NextQuarter(kQuarterOfHour - 1), kQuarterOfHour);
  CHECK_EQ(NextQuarter(kQuarterOfHour), 2 * kQuarterOfHour);
  CHECK_EQ(NextQuarter(-1), 0);
  CHECK_EQ(NextQuarter(-kQuarterOfHour), 0);
  CHECK_EQ(NextQuarter(-kQuarterOfHour - 1), -kQuarterOfHour);
}

TEST(AnAlarmIsNoPartOfTheTimeBeforeIt) {
  constexpr ClockAlarm alarm = {10, 20};
  CHECK(!alarm.Covers(9));
  CHECK(alarm.Covers(10));
  CHECK(alarm.Covers(19));
  CHECK(!alarm.Covers(20));
  CHECK(!ClockAlarm{}.Covers(0));
}

}  // namespace
}  // namespace live_queries
