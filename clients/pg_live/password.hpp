// Asking for a password on the terminal.
#pragma once

#include <string>

namespace pg_live {

// From /dev/tty without showing it; from standard input where there is no terminal.
std::string AskPassword(const std::string& prompt);

}  // namespace pg_live
