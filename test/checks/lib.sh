# For the checks: sourced by each. Goes to the root of the tree, and gives
#   complain MESSAGE   a finding; the check goes on and ends with status 1
#   leave_out REASON   ends the check with status 77: it cannot be made here
#   code_of FILE       the file without comments and without what string literals contain, line for line
#   files DIR EXT...   the files below a directory with one of these extensions
# shellcheck shell=bash
set -Eeuo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

findings=0
trap 'status=$?; ((status)) || exit $((findings > 0))' EXIT

complain() {
  echo "$*"
  findings=$((findings + 1))
}

leave_out() {
  echo "$*"
  trap - EXIT
  exit 77
}

files() {
  local directory=$1 extension
  shift
  [[ -d $directory ]] || return 0
  for extension; do
    find "$directory" -name "*.$extension" -type f
  done | sort
}

code_of() {
  perl -0777 -pe '
    s{^(\s*\#\s*include[^\n]*)|(//[^\n]*|/\*.*?\*/)|("(?:\\.|[^"\\\n])*")|(\x27(?:\\.|[^\x27\\\n])+\x27)}
     {defined $1 ? $1 : defined $2 ? $2 =~ s/[^\n]//gr : defined $3 ? q("") : $4}gmse' "$1"
}

# settings_of FILE...: the settings that the code defines, but for those of the test build.
settings_of() {
  perl -0777 -ne '
    s{//[^\n]*}{}g;
    s{^\#ifdef LIVE_QUERIES_FAULTS.*?^\#(?:else|endif)}{}gms;
    while (/DefineCustom\w+Variable\(\s*"(live_queries\.\w+)"/g) { print "$1\n" }' "$@" | sort -u
}
