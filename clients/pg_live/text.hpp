// Text that is shown on a terminal: how wide it is, and never more than text.
//
// Owns: reading UTF-8, escaping what would drive a terminal, and cutting to a width. Pure; the
// width of characters is that of the C library's locale, which main sets.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pg_live {

struct Character {
  char32_t code;
  size_t length;  // bytes
  bool valid;     // false: one byte that is no UTF-8
};

// The first character of a text that is not empty.
Character FirstCharacter(std::string_view text);

// Control characters, those that turn the direction of writing, and those that are not seen.
bool DrivesTerminal(char32_t code);

// The text with U+FFFD for each byte that is no UTF-8.
std::string ValidUtf8(std::string_view text);

// The text on one line, with escapes (\n, \x1b, \u202e) for what a terminal would not show as a
// character.
std::string Printable(std::string_view text);

// The start of that, as much as is wider than `width` columns, or all of it: CutTo makes the same
// of both.
std::string PrintableStart(std::string_view text, size_t width);

// How many columns a printable text takes.
size_t DisplayWidth(std::string_view printable);

// The part of a printable text that fits into `width` columns, with an ellipsis where some was cut
// off.
std::string CutTo(std::string_view printable, size_t width);

// The text, cut or filled up with spaces to `width` columns.
std::string PadTo(std::string_view printable, size_t width, bool right_aligned);

// A text of several lines on one, as for an error message.
std::string OneLine(std::string_view text);

}  // namespace pg_live
