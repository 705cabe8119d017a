# What the parts of a run have found: counted, noted, and reported at its end. Sourced by test/run, which sets `results`, the
# file of the running part, `run_dir` and `cache_dir`.
# shellcheck shell=bash disable=SC2154

# Each part runs in a process of its own and notes its results in a file: a part that dies still has counted.
passed() { echo "passed ${1:-1}" >>"$results"; }
failed() { echo "failed ${1:-1}" >>"$results"; }
note() { echo "note $*" >>"$results"; }

# left_out WHAT...: something that this run could not do.
left_out() {
  note "left out: $*"
  [[ ${CI:-} != true ]] || failed
}

# show_on_failure FILE...: shown if the part fails, and kept.
show_on_failure() { printf 'log %s\n' "$@" >>"$results"; }

sum() { awk -v key="$1" '$1 == key { n += $2 } END { print n + 0 }' "$2"; }

# logged LOG COMMAND...: shows what the command prints and keeps it in a file; returns the command's status.
logged() {
  local log=$1
  shift
  show_on_failure "$log"
  "$@" </dev/null 2>&1 | tee "$log"
  return "${PIPESTATUS[0]}"
}

# count_summary LOG STATUS: adds up the lines "N passed, N failed" of a program; one that fails without saying
# so, or has tested nothing, is a failure.
count_summary() {
  local p f
  read -r p f < <(awk '$2 == "passed," && $4 == "failed" { p += $1; f += $3 } END { print p + 0, f + 0 }' "$1")
  passed "$p"
  ((f > 0 || ($2 == 0 && p > 0))) || f=1
  failed "$f"
}

# count_regress LOG STATUS: the output of pg_regress and pg_isolation_regress; before 16 `test name ... ok`,
# since then TAP.
count_regress() {
  local p f
  p=$(grep -cE '^(test|    ) .*\.\.\. ok|^ok [0-9]+ ' "$1" || true)
  f=$(grep -cE '^(test|    ) .*\.\.\. FAILED|^not ok [0-9]+ ' "$1" || true)
  ((f > 0 || ($2 == 0 && p > 0))) || f=1
  passed "$p"
  failed "$f"
}

# count_tap LOG STATUS: verbose output of prove. Tests that were skipped are said.
count_tap() {
  local p f skipped
  p=$(grep -E '^ok [0-9]+' "$1" | grep -cv '# skip' || true)
  f=$(grep -E '^not ok [0-9]+' "$1" | grep -cv '# [T]ODO' || true)
  ((f > 0 || ($2 == 0 && p > 0))) || f=1
  passed "$p"
  failed "$f"
  while read -r skipped; do
    left_out "$skipped"
  done < <(sed -nE 's/^(t\/|.*\/)?([^ ]+\.pl) \.+ skipped: (.*)/\2: \3/p; s/^ok [0-9]+ # skip (.*)/\1/p' "$1" | sort -u)
}

# The end of each log of a part that failed; all of them are kept.
show_logs() {
  local file target=$cache_dir/failed/$1
  rm -rf "$target"
  mkdir -p "$target"
  while read -r file; do
    [[ -s $file ]] || continue
    cp "$file" "$target/"
    [[ $file == *"/log/$1.log" ]] && continue # already on the screen
    echo "---- the end of $(basename "$file") ----"
    tail -n "${SHOW_LINES:-60}" "$file"
  done < <(sed -n 's/^log //p' "$results" | sort -u)
  if compgen -G "$target/*" >/dev/null; then
    echo "---- the logs are kept in ${IN_CHROOT:-}$target ----"
  fi
}

# what_failed FILE: of a part's results, what its logs call a failure. A run is long, and often its end alone is at hand.
what_failed() {
  local logs
  mapfile -t logs < <(sed -n 's/^log //p' "$1" | sort -u)
  ((${#logs[@]} == 0)) || grep -shE "$failure" "${logs[@]}" | sort -u | head -n 30 || true
}
failure='^not ok |^FAILED|^DIFFERENCE|^oracle: FAILED|^(FAIL|ERROR): |^(test| ) .* FAILED|FAILED$|\(Wstat: '

report() {
  local name file p f all_passed=0 all_failed=0
  for name in "${ran[@]}"; do
    (($(sum failed "$run_dir/results/$name"))) || continue
    printf '\n---- what failed in %s ----\n' "$name"
    what_failed "$run_dir/results/$name"
  done
  echo
  printf '%-12s %8s %8s %8s\n' part passed failed time
  for name in "${ran[@]}"; do
    file=$run_dir/results/$name
    p=$(sum passed "$file") f=$(sum failed "$file")
    ((p + f)) || grep -q '^note' "$file" || continue
    printf '%-12s %8d %8d %6d s\n' "$name" "$p" "$f" "$(sum time "$file")"
    all_passed=$((all_passed + p)) all_failed=$((all_failed + f))
  done
  printf '%-12s %8d %8d %6d s\n' "the run" "$all_passed" "$all_failed" "$SECONDS"
  for name in "${ran[@]}"; do
    sed -n 's/^note //p' "$run_dir/results/$name"
  done
  # Part of the suite passing by is not the suite passing.
  ((all_passed + all_failed)) || all_failed=1
  echo "$all_passed passed, $all_failed failed"
  ((all_failed == 0))
}
