# clang-tidy (with .clang-tidy), which includes clang's analyzer, and cppcheck, over src. The one check that takes
# more than a moment: two seconds or so a file. Where CHECKS_CACHE names a directory, a file that was found clean is not
# looked at again before it, or any header, changes.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || leave_out "no clang-tidy"
command -v cppcheck >/dev/null || leave_out "no cppcheck"
"$tidy" --version | grep -q 'version 14\.' || leave_out "clang-tidy is not version 14"
include=$("${PG_CONFIG:-pg_config}" --includedir-server)

mapfile -t headers < <(files src hpp)
surroundings=$({ "${PG_CONFIG:-pg_config}" --version && cat .clang-tidy "${headers[@]}" "${BASH_SOURCE[0]}"; } | sha256sum | cut -c1-64)
export tidy include surroundings CHECKS_CACHE=${CHECKS_CACHE:-}
# shellcheck disable=SC2016  # expanded by the inner shell
files src cpp | xargs -r -d '\n' -n 1 -P "$(nproc)" bash -c '
  clean=$CHECKS_CACHE/$({ echo "$1 $surroundings" && cat "$1"; } | sha256sum | cut -c1-64)
  [[ -z $CHECKS_CACHE || ! -e $clean ]] || exit 0
  "$tidy" --quiet "$1" -- -std=c++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics -isystem "$include" -Isrc 2>/dev/null || exit 1
  [[ -z $CHECKS_CACHE ]] || touch "$clean"' tidy || complain "clang-tidy found something"
[[ -z $CHECKS_CACHE ]] || find "$CHECKS_CACHE" -type f -mtime +30 -delete

# cppcheck reads no server header: what it needs to know of the macros is said here.
cppcheck --quiet --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr \
  --error-exitcode=1 -j "$(nproc)" -Isrc --suppress=missingInclude --suppress=unknownMacro --suppress=noExplicitConstructor --suppress=legacyUninitvar \
  -DPG_VERSION_NUM=150000 '-DPG_FUNCTION_INFO_V1(x)=' '-DPG_MODULE_MAGIC=' '-DPG_FUNCTION_ARGS=void *fcinfo' \
  '-DPGDLLEXPORT=' '-DPG_RETURN_VOID()=return 0' --template='{file}:{line}: {severity}: {message} [{id}]' src ||
  complain "cppcheck found something"
