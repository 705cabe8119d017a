# clang-tidy (with .clang-tidy), which includes clang's analyzer, gcc's analyzer, and cppcheck, over src and clients (there
# without gcc's analyzer, which takes exceptions and the standard library's containers for mistakes). The one check that
# takes more than a moment: a few seconds a file. Where CHECKS_CACHE names a directory, a source found clean is
# not looked at again before it, or any header, changes.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || leave_out "no clang-tidy"
command -v cppcheck >/dev/null || leave_out "no cppcheck"
command -v g++-12 >/dev/null || leave_out "no g++-12"
"$tidy" --version | grep -q 'version 14\.' || leave_out "clang-tidy is not version 14"
include=$("${PG_CONFIG:-pg_config}" --includedir-server)
client_include=$("${PG_CONFIG:-pg_config}" --includedir)
echo '#include <nlohmann/json.hpp>' | g++-12 -x c++ -fsyntax-only - 2>/dev/null || leave_out "no nlohmann/json.hpp"

# analyse FILE: a source by clang-tidy, and by gcc's analyzer, which knows less of C++ but follows other paths. What is
# compiled for fault points alone is looked at as well.
analyse() {
  local file=$1 clean flags variants=("") variant
  clean=$CHECKS_CACHE/$({ echo "$file $surroundings" && cat "$file"; } | sha256sum | cut -c1-64)
  [[ -z $CHECKS_CACHE || ! -e $clean ]] || return 0
  flags_for "$file"
  ! grep -q '^#ifdef LIVE_QUERIES_FAULTS' "$file" || variants+=(-DLIVE_QUERIES_FAULTS)
  for variant in "${variants[@]}"; do
    "$tidy" --quiet "$file" -- "${flags[@]}" ${variant:+"$variant"} 2>/dev/null || return 1
    [[ $file == clients/* ]] ||
      g++-12 -fanalyzer -Werror -O1 "${flags[@]}" ${variant:+"$variant"} -c -o /dev/null "$file" || return 1
  done
  [[ -z $CHECKS_CACHE ]] || touch "$clean"
}

# analyse_headers DIRECTORY: all of its headers by clang-tidy, in one source that includes them, since what the server's and
# the library's own headers take is most of the time. The analyzers follow what headers define from the sources that use it.
analyse_headers() {
  local source=$scratch/headers_of_${1//\//_}.cpp flags variants=("") variant
  flags_for "$1/"
  printf '#include "%s"\n' "$PWD/$1"/*.hpp >"$source"
  ! grep -q '^#ifdef LIVE_QUERIES_FAULTS' "$1"/*.hpp || variants+=(-DLIVE_QUERIES_FAULTS)
  for variant in "${variants[@]}"; do
    "$tidy" --quiet --config-file=.clang-tidy "$source" -- "${flags[@]}" ${variant:+"$variant"} 2>/dev/null || return 1
  done
}

flags_for() {
  flags=(-x c++ -std=c++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics -isystem "$include" -Isrc)
  [[ $1 != clients/* ]] || flags=(-x c++ -std=c++20 -D_GNU_SOURCE '-DPG_LIVE_VERSION="1"' -isystem "$client_include" -Iclients)
}

mapfile -t headers < <(files src hpp && files clients/pg_live hpp | grep -v /unit/)
surroundings=$({ "${PG_CONFIG:-pg_config}" --version && cat .clang-tidy "${headers[@]}" "${BASH_SOURCE[0]}"; } | sha256sum | cut -c1-64)
scratch=$(mktemp -d)
trap 'status=$?; rm -rf "$scratch"; ((status)) || exit $((findings > 0))' EXIT
export -f analyse analyse_headers flags_for
export tidy include client_include surroundings scratch CHECKS_CACHE=${CHECKS_CACHE:-}
printf '%s\n' "${headers[@]%/*}" | sort -u | xargs -r -d '\n' -n 1 -P "$(nproc)" bash -c 'analyse_headers "$1"' analyse_headers ||
  complain "clang-tidy found something in headers"
{ files src cpp && files clients/pg_live cpp | grep -v /unit/; } | xargs -r -d '\n' -n 1 -P "$(nproc)" bash -c 'analyse "$1"' analyse ||
  complain "clang-tidy or gcc found something"
[[ -z $CHECKS_CACHE ]] || find "$CHECKS_CACHE" -type f -mtime +30 -delete

# check_as VERSION PLACE: cppcheck, which reads no server header: what it needs to know of the macros is said here. Types of
# ours with one argument are made to be converted to (noExplicitConstructor), and what a lambda sets counts as not set
# (legacyUninitvar).
check_as() {
  cppcheck --quiet --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr \
    --error-exitcode=1 -j "$(nproc)" -Isrc --suppress=missingInclude --suppress=unknownMacro \
    --suppress=noExplicitConstructor --suppress=legacyUninitvar \
    "-DPG_VERSION_NUM=$1" '-DPG_FUNCTION_INFO_V1(x)=' '-DPG_MODULE_MAGIC=' '-DPG_FUNCTION_ARGS=void *fcinfo' \
    '-DPGDLLEXPORT=' '-DPG_RETURN_VOID()=return 0' --template='{file}:{line}: {severity}: {message} [{id}]' "$2" ||
    complain "cppcheck found something, as for version $1"
}
check_as 150000 src
cppcheck --quiet --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
  -j "$(nproc)" -Iclients --suppress=missingInclude --suppress=noExplicitConstructor -i clients/pg_live/unit \
  --template='{file}:{line}: {severity}: {message} [{id}]' clients || complain "cppcheck found something in clients"
for version in 160000 170000 180000 190000; do
  for file in src/pg/compat*.hpp; do
    check_as "$version" "$file"
  done
done
