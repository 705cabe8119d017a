// Commit times as ISO 8601 text in UTC.
//
// Owns: the conversion from the server's TimestampTz, without the server's time zone code. Used by
// the message writer. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace live_queries {

struct CivilDate {
  int64_t year;  // astronomical: 0 is 1 BC
  int month;     // 1-12
  int day;       // 1-31
};

// The proleptic Gregorian date `days` after 2000-01-01, right for all days of an int64 of
// microseconds. Follows Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
// civil_from_days.
constexpr CivilDate CivilFromDays(int64_t days) {
  constexpr int64_t kDaysPerEra = 146097;  // 400 years
  constexpr int64_t kDaysTo2000 = 730425;  // from 0000-03-01
  const int64_t shifted = days + kDaysTo2000;
  const int64_t era = (shifted >= 0 ? shifted : shifted - (kDaysPerEra - 1)) / kDaysPerEra;
  const int64_t day_of_era = shifted - era * kDaysPerEra;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =  // from 1 March
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), static_cast<int>(month),
          static_cast<int>(day)};
}

inline constexpr size_t kMaxTimestampBytes = 40;
using TimestampBuffer = std::array<char, kMaxTimestampBytes>;

namespace internal {

// Appends `value` with at least `width` digits; `value` is not negative.
constexpr char* AppendPadded(char* end, int64_t value, int width) {
  std::array<char, 20> digits{};
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  for (int i = count; i < width; ++i) *end++ = '0';
  while (count > 0) *end++ = digits[--count];
  return end;
}

}  // namespace internal

// `2026-11-21T22:45:01.123456+00:00`. `micros` is a TimestampTz: microseconds since 2000-01-01 UTC.
// Years outside 0-9999 get a sign and six digits (ISO 8601 expanded, as in ECMAScript). The view is
// into `buffer`.
constexpr std::string_view FormatTimestamp(int64_t micros, TimestampBuffer& buffer) {
  constexpr int64_t kMicrosPerDay = int64_t{86400} * 1000000;
  int64_t days = micros / kMicrosPerDay;
  int64_t rest = micros % kMicrosPerDay;
  if (rest < 0) {
    rest += kMicrosPerDay;
    --days;
  }
  const CivilDate date = CivilFromDays(days);

  char* end = buffer.data();
  if (date.year < 0 || date.year > 9999) {
    *end++ = date.year < 0 ? '-' : '+';
    end = internal::AppendPadded(end, date.year < 0 ? -date.year : date.year, 6);
  } else {
    end = internal::AppendPadded(end, date.year, 4);
  }
  struct Field {
    char before;
    int64_t value;
    int width;
  };
  const std::array<Field, 6> fields = {{{'-', date.month, 2},
                                        {'-', date.day, 2},
                                        {'T', rest / 3600000000, 2},
                                        {':', rest / 60000000 % 60, 2},
                                        {':', rest / 1000000 % 60, 2},
                                        {'.', rest % 1000000, 6}}};
  for (const Field& field : fields) {
    *end++ = field.before;
    end = internal::AppendPadded(end, field.value, field.width);
  }
  for (const char c : std::string_view("+00:00")) *end++ = c;
  return {buffer.data(), static_cast<size_t>(end - buffer.data())};
}

}  // namespace live_queries
