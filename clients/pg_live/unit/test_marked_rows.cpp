// What is seen of changes for a moment, and of their number.
#include "../../../test/unit/check.hpp"
#include "pg_live/change_rate.hpp"
#include "pg_live/commit_time.hpp"
#include "pg_live/marked_rows.hpp"

using pg_live::ChangeRate;
using pg_live::Difference;
using pg_live::LiveResult;
using pg_live::Mark;
using pg_live::MarkedRow;
using pg_live::MarkedRows;
using pg_live::ParseJson;
using pg_live::ResultColumn;
using pg_live::Row;

namespace {

constexpr MarkedRows::Time kStart{std::chrono::seconds(1000)};

const std::vector<ResultColumn> kColumns = {{"n", "integer", true}, {"t", "text", false}};

Row RowOf(int n) {
  return {"[" + std::to_string(n) + "]",
          *ParseJson("{\"n\":" + std::to_string(n) + ",\"t\":\"Row\"}")};
}

std::string Shown(const MarkedRows& marks, const LiveResult& result, const char* filter = "") {
  std::string text;
  for (const MarkedRow& row : marks.Show(result.rows(), kColumns, filter)) {
    text += row.mark == Mark::kEntered   ? "+"
            : row.mark == Mark::kChanged ? "~"
            : row.mark == Mark::kLeft    ? "-"
                                         : " ";
    text += row.row->Find("n")->text;
  }
  return text;
}

// Replaces the result, and notes by what it differs.
void Become(LiveResult* result, MarkedRows* marks, const std::vector<Row>& rows,
            MarkedRows::Time now) {
  marks->Note(result->Replace(rows), now);
}

}  // namespace

TEST(RowsThatHaveLeftStandWhereTheyWereForAMoment) {
  LiveResult result;
  MarkedRows marks;
  result.Replace({RowOf(1), RowOf(2), RowOf(3), RowOf(4)});
  CHECK_EQ(Shown(marks, result), " 1 2 3 4");
  Become(&result, &marks, {RowOf(1), RowOf(4), RowOf(5)}, kStart);
  CHECK_EQ(Shown(marks, result), " 1-2-3 4+5");
  CHECK(!marks.Forget(kStart + MarkedRows::kMoment / 2));
  Become(&result, &marks, {RowOf(4), RowOf(5)}, kStart + MarkedRows::kMoment / 2);
  CHECK_EQ(Shown(marks, result), "-1-2-3 4+5");
  CHECK(marks.Forget(kStart + MarkedRows::kMoment));
  CHECK_EQ(Shown(marks, result), "-1 4 5");
  CHECK(marks.Forget(kStart + MarkedRows::kMoment * 2));
  CHECK_EQ(Shown(marks, result), " 4 5");
  CHECK(!marks.Forget(kStart + MarkedRows::kMoment * 3));
}

TEST(OneThatComesBackIsNoLongerGone) {
  LiveResult result;
  MarkedRows marks;
  result.Replace({RowOf(1), RowOf(2)});
  Become(&result, &marks, {RowOf(1)}, kStart);
  Become(&result, &marks, {RowOf(1), RowOf(2)}, kStart);
  CHECK_EQ(Shown(marks, result), " 1+2");
}

TEST(GoneRowsBehindOneThatIsForgottenAreStillShown) {
  LiveResult result;
  MarkedRows marks;
  result.Replace({RowOf(1), RowOf(2), RowOf(3)});
  Become(&result, &marks, {RowOf(1), RowOf(3)}, kStart);
  Become(&result, &marks, {}, kStart + std::chrono::seconds(1));
  marks.Forget(kStart + MarkedRows::kMoment);
  CHECK_EQ(Shown(marks, result), "-1-3");
}

TEST(FilterByWhatIsSeen) {
  LiveResult result;
  const MarkedRows marks;
  result.Replace({RowOf(1), RowOf(21)});
  CHECK_EQ(Shown(marks, result, "rOW"), " 1 21");
  CHECK_EQ(Shown(marks, result, "2"), " 21");
  CHECK_EQ(Shown(marks, result, "x"), "");
}

TEST(ChangesASecond) {
  using std::chrono::seconds;
  ChangeRate rate;
  CHECK_EQ(rate.PerSecond(kStart), 0.0);
  rate.Add(3, kStart);
  CHECK_EQ(rate.PerSecond(kStart), 3.0);
  rate.Add(9, kStart + seconds(1));
  CHECK_EQ(rate.PerSecond(kStart + seconds(2)), 6.0);
  CHECK_EQ(rate.PerSecond(kStart + seconds(4)), 3.0);
  CHECK_EQ(rate.Sparkline(6, kStart + seconds(4)), "  ▃█  ");
  CHECK_EQ(rate.Sparkline(2, kStart + seconds(9)), "  ");
  CHECK_EQ(rate.PerSecond(kStart + seconds(100000)), 0.0);
}

TEST(TimesOfCommits) {
  const auto time = pg_live::ParseCommitTime("2026-11-21T22:45:01.25+00:00");
  CHECK(time.has_value());
  CHECK_EQ(std::chrono::duration_cast<std::chrono::milliseconds>(time->time_since_epoch()).count(),
           1795301101250);
  CHECK(pg_live::ParseCommitTime("2026-11-21T23:45:01.25+01:00") == time);
  CHECK(!pg_live::ParseCommitTime(""));
  CHECK(!pg_live::ParseCommitTime("yesterday"));
}
