// Reading UTF-8 by hand: the C library's functions depend on the locale, and stop at the first
// mistake.
#include "pg_live/text.hpp"

#include <cstdint>
#include <cstdio>
#include <cwchar>
#include <limits>

namespace pg_live {

namespace {

constexpr std::string_view kEllipsis = "…";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

size_t SequenceLength(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (first >= 0xE0 && first <= 0xEF) return 3;
  if (first >= 0xF0 && first <= 0xF4) return 4;
  return 0;
}

bool IsCharacter(char32_t code, size_t length) {
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  return code >= kLeast[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

// Columns of a character; -1 where the C library knows none.
int WidthOf(char32_t code) { return wcwidth(static_cast<wchar_t>(code)); }

void AppendHex(const char* format, unsigned value, std::string* out) {
  char buffer[16];
  std::snprintf(buffer, sizeof(buffer), format, value);
  *out += buffer;
}

}  // namespace

Character FirstCharacter(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const size_t length = SequenceLength(first);
  const Character invalid = {.code = first, .length = 1, .valid = false};
  if (length == 0 || length > text.size()) return invalid;
  if (length == 1) return {.code = first, .length = 1, .valid = true};
  char32_t code = first & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0U) != 0x80) return invalid;
    code = code << 6 | (byte & 0x3FU);
  }
  if (!IsCharacter(code, length)) return invalid;
  return {.code = code, .length = length, .valid = true};
}

bool DrivesTerminal(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0xAD || code == 0x061C ||
         (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF ||
         (code >= 0xFFF9 && code <= 0xFFFB) || (code >= 0xE0000 && code <= 0xE0FFF);
}

std::string ValidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character character = FirstCharacter(text);
    out += character.valid ? text.substr(0, character.length) : kReplacement;
    text.remove_prefix(character.length);
  }
  return out;
}

std::string Printable(std::string_view text) {
  return PrintableStart(text, std::numeric_limits<size_t>::max());
}

std::string PrintableStart(std::string_view text, size_t width) {
  std::string out;
  size_t used = 0;
  size_t measured = 0;
  while (!text.empty() && used <= width) {
    const Character character = FirstCharacter(text);
    const std::string_view bytes = text.substr(0, character.length);
    text.remove_prefix(character.length);
    if (bytes == "\n")
      out += "\\n";
    else if (bytes == "\r")
      out += "\\r";
    else if (bytes == "\t")
      out += "\\t";
    else if (!character.valid || character.code < 0x20 || character.code == 0x7F)
      AppendHex("\\x%02x", static_cast<unsigned>(character.code), &out);
    else if (DrivesTerminal(character.code) || WidthOf(character.code) < 0)
      AppendHex(character.code < 0x10000 ? "\\u%04x" : "\\U%08x",
                static_cast<unsigned>(character.code), &out);
    else
      out += bytes;
    used += DisplayWidth(std::string_view(out).substr(measured));
    measured = out.size();
  }
  return out;
}

size_t DisplayWidth(std::string_view printable) {
  size_t width = 0;
  while (!printable.empty()) {
    const Character character = FirstCharacter(printable);
    const int columns = WidthOf(character.code);
    width += columns < 0 ? 1 : static_cast<size_t>(columns);
    printable.remove_prefix(character.length);
  }
  return width;
}

std::string CutTo(std::string_view printable, size_t width) {
  if (DisplayWidth(printable) <= width) return std::string(printable);
  if (width == 0) return {};
  size_t taken = 0;
  size_t used = 0;
  while (taken < printable.size()) {
    const Character character = FirstCharacter(printable.substr(taken));
    const int columns = WidthOf(character.code);
    const size_t next = used + (columns < 0 ? 1 : static_cast<size_t>(columns));
    if (next > width - 1) break;
    used = next;
    taken += character.length;
  }
  return std::string(printable.substr(0, taken)) + std::string(kEllipsis);
}

std::string PadTo(std::string_view printable, size_t width, bool right_aligned) {
  std::string out = CutTo(printable, width);
  const size_t used = DisplayWidth(out);
  if (used < width) out.insert(right_aligned ? 0 : out.size(), width - used, ' ');
  return out;
}

std::string OneLine(std::string_view text) {
  std::string out;
  for (size_t start = 0; start < text.size();) {
    const size_t end = text.find('\n', start);
    std::string_view line = text.substr(start, end - start);
    start = end == std::string_view::npos ? text.size() : end + 1;
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    if (line.empty()) continue;
    if (!out.empty()) out += ' ';
    out += Printable(line);
  }
  return out;
}

}  // namespace pg_live
