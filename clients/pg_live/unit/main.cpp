// Runs the tests of what pg_live can do without a server or a terminal.
#include <clocale>

#include "../../../test/unit/check.hpp"

int main() {
  (void)std::setlocale(LC_CTYPE, "C.UTF-8");
  return check::RunAll();
}
