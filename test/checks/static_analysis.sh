# clang-tidy (with .clang-tidy), which includes clang's analyzer, and cppcheck, over src. The one check that takes
# more than a moment: about a second a file.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || leave_out "no clang-tidy"
command -v cppcheck >/dev/null || leave_out "no cppcheck"
"$tidy" --version | grep -q 'version 14\.' || leave_out "clang-tidy is not version 14"
include=$("${PG_CONFIG:-pg_config}" --includedir-server)

mapfile -t sources < <(files src cpp)
printf '%s\0' "${sources[@]}" | xargs -0 -r -n 1 -P "$(nproc)" bash -c '
  "$0" --quiet "$2" -- -std=c++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics -isystem "$1" -Isrc 2>/dev/null' \
  "$tidy" "$include" || complain "clang-tidy found something"

# cppcheck reads no server header: what it needs to know of the macros is said here.
cppcheck --quiet --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr \
  --error-exitcode=1 -j "$(nproc)" -Isrc --suppress=missingInclude --suppress=unknownMacro --suppress=noExplicitConstructor \
  -DPG_VERSION_NUM=150000 '-DPG_FUNCTION_INFO_V1(x)=' '-DPG_MODULE_MAGIC=' '-DPG_FUNCTION_ARGS=void *fcinfo' '-DPGDLLEXPORT=' \
  '-DPG_RETURN_VOID()=return 0' --template='{file}:{line}: {severity}: {message} [{id}]' src || complain "cppcheck found something"
