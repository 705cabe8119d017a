// The one file that knows ncurses, whose macros would spoil the names of others.
#include "pg_live/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <stdexcept>

#define NCURSES_NOMACROS
#include <ncurses.h>
#include <term.h>

#include "pg_live/text.hpp"

namespace pg_live {

namespace {

constexpr short kGreen = 1;
constexpr short kYellow = 2;
constexpr short kRed = 3;
constexpr short kCyan = 4;

// https://no-color.org
bool UsesColours() {
  const char* none = std::getenv("NO_COLOR");
  return has_colors() && (none == nullptr || *none == '\0');
}

attr_t Attributes(Style style) {
  const bool colours = UsesColours();
  const auto colour = [&](short pair) {
    return colours ? static_cast<attr_t>(COLOR_PAIR(pair)) : A_NORMAL;
  };
  switch (style) {
    case Style::kEntered:
      return colour(kGreen) | A_BOLD;
    case Style::kChanged:
      return colour(kYellow) | A_BOLD;
    case Style::kLeft:
      return colour(kRed) | A_DIM;
    case Style::kHead:
      return A_UNDERLINE;
    case Style::kTitle:
      return colour(kCyan);
    case Style::kFocus:
      return colour(kCyan) | A_BOLD;
    case Style::kStatus:
      return A_REVERSE;
    case Style::kWarning:
      return colour(kRed) | A_REVERSE;
    case Style::kDim:
      return A_DIM;
    case Style::kPlain:
      break;
  }
  return A_NORMAL;
}

std::string Utf8(wint_t character) {
  std::array<char, MB_LEN_MAX> bytes{};
  std::mbstate_t state{};
  const size_t length = std::wcrtomb(bytes.data(), static_cast<wchar_t>(character), &state);
  return length == static_cast<size_t>(-1) ? "" : std::string(bytes.data(), length);
}

Key SpecialKey(wint_t code) {
  switch (code) {
    case KEY_UP:
      return Key::kUp;
    case KEY_DOWN:
      return Key::kDown;
    case KEY_LEFT:
      return Key::kLeft;
    case KEY_RIGHT:
      return Key::kRight;
    case KEY_PPAGE:
      return Key::kPageUp;
    case KEY_NPAGE:
      return Key::kPageDown;
    case KEY_HOME:
      return Key::kHome;
    case KEY_END:
      return Key::kEnd;
    case KEY_ENTER:
      return Key::kEnter;
    case KEY_BACKSPACE:
      return Key::kBackspace;
    default:
      return Key::kOther;
  }
}

}  // namespace

bool Terminal::CanDraw() {
  int error = 0;
  if (setupterm(nullptr, STDOUT_FILENO, &error) != OK) return false;
  const char* moves = tigetstr("cup");
  const bool can = moves != nullptr && moves != reinterpret_cast<const char*>(-1);
  del_curterm(cur_term);
  return can;
}

Terminal::Terminal() {
  if (newterm(nullptr, stdout, stdin) == nullptr)
    throw std::runtime_error("this terminal (TERM) is not known: use --json or --changes");
  cbreak();
  noecho();
  keypad(stdscr, true);
  nodelay(stdscr, true);
  set_escdelay(50);
  curs_set(0);
  if (!UsesColours()) return;
  start_color();
  use_default_colors();
  init_pair(kGreen, COLOR_GREEN, -1);
  init_pair(kYellow, COLOR_YELLOW, -1);
  init_pair(kRed, COLOR_RED, -1);
  init_pair(kCyan, COLOR_CYAN, -1);
}

Terminal::~Terminal() { endwin(); }

size_t Terminal::height() const { return static_cast<size_t>(getmaxy(stdscr)); }
size_t Terminal::width() const { return static_cast<size_t>(getmaxx(stdscr)); }

bool Terminal::Resize() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
    return false;
  if (size.ws_row == getmaxy(stdscr) && size.ws_col == getmaxx(stdscr)) return false;
  resizeterm(size.ws_row, size.ws_col);
  return true;
}

void Terminal::Erase() { werase(stdscr); }

void Terminal::Put(size_t line, size_t column, std::string_view text, Style style) {
  if (line >= height() || column >= width()) return;
  const std::string cut = CutTo(text, width() - column);
  wattrset(stdscr, static_cast<int>(Attributes(style)));
  mvwaddnstr(stdscr, static_cast<int>(line), static_cast<int>(column), cut.c_str(),
             static_cast<int>(cut.size()));
  wattrset(stdscr, A_NORMAL);
}

void Terminal::PutLine(size_t line, std::string_view text, Style style) {
  Put(line, 0, PadTo(text, width(), false), style);
}

void Terminal::Show() { wrefresh(stdscr); }

bool Terminal::IsGone() const { return isatty(STDIN_FILENO) == 0; }

std::optional<KeyPress> Terminal::NextKey() {
  constexpr wint_t kDelete = 127;
  wint_t code = 0;
  const int kind = get_wch(&code);
  if (kind == ERR) return std::nullopt;
  if (kind == KEY_CODE_YES) return KeyPress{SpecialKey(code), {}};
  switch (code) {
    case L'\t':
      return KeyPress{Key::kTab, {}};
    case L'\n':
    case L'\r':
      return KeyPress{Key::kEnter, {}};
    case 27:
      return KeyPress{Key::kEscape, {}};
    case L'\b':
    case kDelete:
      return KeyPress{Key::kBackspace, {}};
    default:
      break;
  }
  const std::string text = Utf8(code);
  if (text.empty() || DrivesTerminal(static_cast<char32_t>(code))) return KeyPress{Key::kOther, {}};
  return KeyPress{Key::kText, text};
}

}  // namespace pg_live
