# The shell scripts, as shellcheck sees them. Left out where it is not installed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v shellcheck >/dev/null || leave_out "no shellcheck"
mapfile -t scripts < <(grep -rlE '^(#!.*\b(ba)?sh\b|# shellcheck shell=bash)' .ci demo test --include='*' | sort)
shellcheck --external-sources --source-path=SCRIPTDIR --severity=warning "${scripts[@]}" || complain "shellcheck found something"
mapfile -t checks < <(files test/checks sh)
shellcheck --shell=bash --external-sources --source-path=SCRIPTDIR --severity=warning "${checks[@]}" || complain "shellcheck found something"
