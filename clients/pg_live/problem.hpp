// What the server refuses, in one line, with the cure.
//
// Owns: the wording, and which errors pass by themselves. Pure.
#pragma once

#include <string>
#include <string_view>

#include "pg_live/server_error.hpp"

namespace pg_live {

// The server's message, detail and hint, as sentences on one line.
std::string ProblemText(const ServerError& error);

// Whether that is what a database without the extension says.
bool IsMissingExtension(const ServerError& error);

std::string MissingExtensionText(std::string_view database, bool is_installed);

// What the server says while a subscription waits.
std::string WaitingText(std::string_view message, std::string_view detail);

// Whether a server that says so may serve a while later: it is short of something, shuts down, or
// recovers.
bool PassesByItself(std::string_view sqlstate);

}  // namespace pg_live
