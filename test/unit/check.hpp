// A tiny test framework: TEST(name) { CHECK(...); CHECK_EQ(...); }
//
// Owns: the list of tests, the printing of failures with file and line, and the count of failures.
// Used by the programs of test/unit.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}

// Failures of the running test.
inline int failures = 0;

inline bool Register(const char* name, void (*body)()) {
  Tests().push_back({name, body});
  return true;
}

inline void Fail(const char* file, int line, const std::string& what) {
  ++failures;
  std::printf("%s:%d: %s\n", file, line, what.c_str());
}

template <class T>
std::string Show(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_enum_v<T>) {
    return "enumerator " + std::to_string(static_cast<long long>(value));
  } else if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(value);
  } else {
    return "'" + std::string(std::string_view(value)) + "'";
  }
}

template <class A, class B>
void Equal(const A& actual, const B& expected, const char* text, const char* file, int line) {
  if (actual == expected) return;
  Fail(file, line, std::string(text) + " is " + Show(actual) + ", not " + Show(expected));
}

// Runs all tests; the exit code of the program.
inline int RunAll() {
  size_t failed = 0;
  for (const Test& test : Tests()) {
    failures = 0;
    test.body();
    if (failures == 0) continue;
    ++failed;
    std::printf("FAILED: %s\n", test.name);
  }
  std::printf("%zu passed, %zu failed\n", Tests().size() - failed, failed);
  return failed == 0 && !Tests().empty() ? 0 : 1;
}

}  // namespace check

#define TEST(name)                                                                           \
  static void Test##name();                                                                  \
  [[maybe_unused]] static const bool registered_##name = check::Register(#name, Test##name); \
  static void Test##name()

#define CHECK(condition) \
  ((condition) ? void() : check::Fail(__FILE__, __LINE__, "not true: " #condition))

#define CHECK_EQ(actual, expected) check::Equal((actual), (expected), #actual, __FILE__, __LINE__)
