// Tests of model/clock_text.hpp.
#include "check.hpp"
#include "model/clock_text.hpp"

namespace live_queries {
namespace {

TEST(WordsOfTheClockAreFoundInAnyLettersAndPlaces) {
  for (std::string_view text : {"now", "NOW", "today", "ToDay", "tomorrow", "yesterday 04:05",
                                "[today,)", "{2026-01-01,tomorrow}", "04:05today", "(1,\"now\")"})
    CHECK(HasClockWord(text));
}

TEST(OtherWordsAreNotOfTheClock) {
  for (std::string_view text : {"", "2026-01-01", "infinity", "epoch", "allballs", "nowhere",
                                "snow", "todays", "2026-01-01 10:00 Europe/Berlin", "n", "no w"})
    CHECK(!HasClockWord(text));
}

TEST(ATimeOfDayNeedsItsOffset) {
  for (std::string_view text : {"10:00", "10:00 Europe/Berlin", "{10:00}"})
    CHECK(NeedsPresentOffset(text));
  for (std::string_view text : {"10:00+02", "10:00-05:30", "10:00 UTC", "10:00z", "10:00 gmt", "{}",
                                "", "2026-01-01 10:00 Europe/Berlin"})
    CHECK(!NeedsPresentOffset(text));
}

}  // namespace
}  // namespace live_queries
