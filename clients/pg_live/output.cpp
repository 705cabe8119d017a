// What outputs say to people, unless they have another place for it: standard error.
#include "pg_live/output.hpp"

#include <cstdio>

#include "pg_live/text.hpp"

namespace pg_live {

void Output::Connected(const Connection& /*connection*/, bool again) {
  if (again) Say("connected again");
}

void Output::Lost(const std::string& why, bool first_try) {
  if (first_try) Say("connection lost: " + why + "; connecting again");
}

void Output::Say(const std::string& sentence) {
  std::fprintf(stderr, "pg_live: %s\n", OneLine(sentence).c_str());
}

}  // namespace pg_live
