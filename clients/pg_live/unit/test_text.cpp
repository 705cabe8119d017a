// What text becomes on a terminal.
#include "../../../test/unit/check.hpp"
#include "pg_live/text.hpp"

using pg_live::CutTo;
using pg_live::DisplayWidth;
using pg_live::OneLine;
using pg_live::PadTo;
using pg_live::Printable;
using pg_live::PrintableStart;

TEST(ControlCharactersAreEscaped) {
  CHECK_EQ(Printable("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  CHECK_EQ(Printable("\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f");
  CHECK_EQ(Printable("\xC2\x9B"), "\\u009b");  // the one-character form of ESC [
  CHECK_EQ(Printable("\xE2\x80\xAE"
                     "abc"),
           "\\u202e"
           "abc");  // turns the direction
  CHECK_EQ(Printable("\xFF\xC3"), "\\xff\\xc3");
  CHECK_EQ(Printable(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(CharactersStay) {
  const std::string text = "\xC3\xA4 \xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x98\x80";
  CHECK_EQ(Printable(text), text);
}

TEST(WidthsAreThoseOfTheTerminal) {
  CHECK_EQ(DisplayWidth("abc"), 3U);
  CHECK_EQ(DisplayWidth("\xC3\xA4"), 1U);
  CHECK_EQ(DisplayWidth("\xE4\xBD\xA0\xE5\xA5\xBD"), 4U);
  CHECK_EQ(DisplayWidth("e\xCC\x81"), 1U);  // with a combining accent
}

TEST(CutAndFilled) {
  CHECK_EQ(CutTo("abcdef", 6), "abcdef");
  CHECK_EQ(CutTo("abcdef", 5), "abcd\xE2\x80\xA6");
  CHECK_EQ(CutTo("\xE4\xBD\xA0\xE5\xA5\xBD", 3), "\xE4\xBD\xA0\xE2\x80\xA6");
  CHECK_EQ(CutTo("\xE4\xBD\xA0\xE5\xA5\xBD", 2), "\xE2\x80\xA6");
  CHECK_EQ(CutTo("abc", 0), "");
  CHECK_EQ(PadTo("ab", 4, false), "ab  ");
  CHECK_EQ(PadTo("ab", 4, true), "  ab");
  CHECK_EQ(PadTo("\xE4\xBD\xA0\xE5\xA5\xBD", 3, false), "\xE4\xBD\xA0\xE2\x80\xA6");
  CHECK_EQ(DisplayWidth(PadTo("\xE4\xBD\xA0\xE5\xA5\xBD", 2, false)), 2U);
}

TEST(TheStartIsCutAsTheWhole) {
  const std::string text =
      "a\n\x1b\xE4\xBD\xA0"
      "e\xCC\x81xyz";
  for (size_t width = 0; width < 20; ++width)
    CHECK_EQ(CutTo(PrintableStart(text, width), width), CutTo(Printable(text), width));
  CHECK_EQ(PrintableStart(text, 3), "a\\n\\x1b");
}

TEST(ErrorsOnOneLine) {
  CHECK_EQ(OneLine("connection failed:\n\tno such file\n"), "connection failed: no such file");
  CHECK_EQ(OneLine("a\x1b[31m"), "a\\x1b[31m");
}
