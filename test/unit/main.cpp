// Runs all tests of src/model.
#include "check.hpp"

int main() { return check::RunAll(); }
