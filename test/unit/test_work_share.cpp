// Tests of model/work_share.hpp.
#include "check.hpp"
#include "model/work_share.hpp"

namespace live_queries {
namespace {

// Works for `work_us` as often as it may until `end`; returns how long in all.
int64_t WorkUntil(WorkShare& share, int64_t now, int64_t end, int64_t work_us, int percent) {
  int64_t worked = 0;
  while (now < end) {
    now += work_us;
    worked += work_us;
    share.Worked(work_us, now, percent);
    const int64_t rest = share.RestUs(now, percent);
    CHECK(rest >= 0 && rest <= WorkShare::kMostRestUs);
    now += rest;
  }
  return worked;
}

constexpr int64_t kSecond = 1000 * 1000;

TEST(WhoWorksSeldomNeverRests) {
  WorkShare share;
  int64_t now = kSecond;
  for (int i = 0; i < 1000; ++i, now += 10 * 1000) {
    share.Worked(500, now, 20);
    CHECK(share.RestUs(now, 20) == 0);
  }
}

TEST(WhoWorksAllTheTimeWorksForItsShare) {
  for (const int percent : {1, 10, 20, 50}) {
    for (const int64_t work_us : {100, 1000}) {
      WorkShare share;
      const int64_t worked = WorkUntil(share, kSecond, 21 * kSecond, work_us, percent);
      const int64_t due = 20 * kSecond * percent / 100 + WorkShare::kBurstUs;
      CHECK(worked <= due + 2 * work_us && worked >= due * 9 / 10);
    }
  }
  WorkShare share;
  CHECK(WorkUntil(share, kSecond, 2 * kSecond, 1000, 100) == kSecond);
}

TEST(NoRestIsLongerThanTheLongest) {
  WorkShare share;
  share.Worked(60 * kSecond, 100 * kSecond, 20);
  CHECK(share.RestUs(100 * kSecond, 20) == WorkShare::kMostRestUs);
  CHECK(share.RestUs(100 * kSecond + WorkShare::kMostRestUs, 20) == 0);
}

TEST(AClockThatIsSetDoesNoHarm) {
  WorkShare share;
  share.Worked(kSecond, 100 * kSecond, 20);
  CHECK(share.RestUs(50 * kSecond, 20) == WorkShare::kMostRestUs);
  CHECK(share.RestUs(INT64_MAX / 2, 20) == 0);
}

TEST(AnotherShareHoldsFromThenOn) {
  WorkShare share;
  share.Worked(kSecond, 100 * kSecond, 1);
  CHECK(share.RestUs(100 * kSecond, 1) == WorkShare::kMostRestUs);
  CHECK(share.RestUs(100 * kSecond, 100) == 0);
}

}  // namespace
}  // namespace live_queries
