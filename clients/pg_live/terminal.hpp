// The terminal, by ncurses.
//
// Owns: the screen from construction to destruction; what keys there are, and what styles.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pg_live {

enum class Style {
  kPlain,
  kEntered,
  kChanged,
  kLeft,
  kHead,
  kTitle,
  kFocus,
  kStatus,
  kWarning,
  kDim
};

enum class Key {
  kText,
  kUp,
  kDown,
  kLeft,
  kRight,
  kPageUp,
  kPageDown,
  kHome,
  kEnd,
  kTab,
  kEnter,
  kEscape,
  kBackspace,
  kOther
};

struct KeyPress {
  Key key;
  std::string text;  // of kText: one character
};

class Terminal {
 public:
  // Whether the kind of terminal that TERM names can be written to at any place.
  static bool CanDraw();

  // Throws where the terminal is of no use.
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  size_t height() const;
  size_t width() const;

  // Takes over the size that the window has now; true if that is another one.
  bool Resize();

  void Erase();
  // Text that is printable, cut at the right edge.
  void Put(size_t line, size_t column, std::string_view text, Style style);
  // A whole line in one style.
  void PutLine(size_t line, std::string_view text, Style style);
  void Show();

  // Whether nobody can press a key any more. Then standard input can always be read, and has
  // nothing.
  bool IsGone() const;

  // The next key that was pressed.
  std::optional<KeyPress> NextKey();
};

}  // namespace pg_live
