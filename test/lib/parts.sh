# The parts of a run, each a function part_NAME. Sourced by test/run; `kind` is the build that is tested, `tree` a copy of the
# sources that the user may write to.
# shellcheck shell=bash disable=SC2154

part_checks() {
  local check status
  ensure_packages checks
  mkdir "$run_dir/log/checks"
  make_user_dir "$cache_dir/checks"
  for check in "$source_root"/test/checks/*.sh; do
    local name
    name=$(basename "$check" .sh)
    [[ $name != lib ]] || continue
    status=0
    as_user env CHECKS_CACHE="$cache_dir/checks" PG_CONFIG="$pg_config" bash "$tree/test/checks/$name.sh" \
      </dev/null >"$run_dir/log/checks/$name.log" 2>&1 || status=$?
    case $status in
      0) passed && echo "ok      $name" ;;
      77) left_out "check $name: $(tail -n 1 "$run_dir/log/checks/$name.log")" && echo "left out $name" ;;
      *)
        failed && echo "FAILED  $name" | tee -a "$run_dir/log/checks/$name.log"
        show_on_failure "$run_dir/log/checks/$name.log"
        ;;
    esac
  done
}

# Compiles without a warning, installs, and uninstalls without a rest.
part_build() {
  show_on_failure "$run_dir/log/build-$kind.log"
  build_extension "$kind" || { failed && return; }
  passed
  if [[ $kind == release ]]; then
    if grep -caE 'live_queries_fault_|debug_mutation' "$(build_dir "$kind")/live_queries.so"; then
      echo "a release has something of the fault points in it"
      failed
    else
      passed
    fi
  fi
  with_build "$kind" as_user make -s -C "$(build_dir "$kind")" ${FAULTS:+FAULTS=1} PG_CONFIG="$(server_bin "$kind")/pg_config" \
    uninstall </dev/null >>"$run_dir/log/build-$kind.log" 2>&1 || failed
  if find "$run_dir/server-$kind" -name 'live_queries*' -o -name 'pg_live*' | grep .; then
    echo "left behind by make uninstall"
    failed
  else
    passed
  fi
  rm -f "$run_dir/server-$kind/.installed"
}

part_unit() {
  local status=0
  with_build "$kind" copy_tree "$source_root" "$(build_dir "$kind")"
  logged "$run_dir/log/unit.log" with_build "$kind" as_user make -s -C "$(build_dir "$kind")" PG_CONFIG="$pg_config" PG_LIVE=yes unit ||
    status=$?
  count_summary "$run_dir/log/unit.log" "$status"
  status=0
  echo "the same, sanitized:"
  logged "$run_dir/log/unit-sanitized.log" with_build "$kind" as_user make -s -C "$(build_dir "$kind")/test/unit" sanitize || status=$?
  count_summary "$run_dir/log/unit-sanitized.log" "$status"
  status=0
  logged "$run_dir/log/unit-pg_live.log" with_build "$kind" as_user make -s -C "$(build_dir "$kind")/clients/pg_live" \
    PG_CONFIG="$pg_config" sanitize || status=$?
  count_summary "$run_dir/log/unit-pg_live.log" "$status"
}

# need_extension KIND: for the parts that run a server.
need_extension() {
  if ! build_extension "$1"; then
    echo "the build failed"
    show_on_failure "$run_dir/log/build-$1.log"
    failed
    return 1
  fi
  use_server "$1"
}

# installcheck PART SETTINGS...: make installcheck on a throwaway server. The variables of the makefile that
# are set to nothing leave those tests out.
installcheck() {
  local part=$1 status=0
  shift
  need_extension "$kind" || return 0
  show_on_failure "$run_dir/log/$part-server.log"
  # Autovacuum would spend transactions, and change plans, at any moment. No query of a test is to
  # take too long because the machine is slow: where one has to, the test sets the limit. It is less
  # than feed() waits, since the decoder may see the test's own limit late.
  start_cluster "$part-server" "$kind" "autovacuum = off" "live_queries.evaluation_timeout = 20s"
  logged "$run_dir/log/$part.log" as_user make -s -C "$tree" PG_CONFIG="$PG_CONFIG" "$@" installcheck || status=$?
  count_regress "$run_dir/log/$part.log" "$status"
  ((status == 0)) || show_on_failure "$tree/regression.diffs" "$tree"/test/{,output_iso/}regression.diffs
  stop_cluster "$part-server" || failed
}

part_regress() { installcheck regress ISOLATION= TAP_TESTS=; }

part_isolation() { installcheck isolation REGRESS= TAP_TESTS=; }

# The SQL of README.md and docs, which has to show what these pages show; and whether that is noticed where it does not.
part_docs() {
  local status=0
  need_extension "$kind" || return 0
  ensure_packages clients
  show_on_failure "$run_dir/log/docs-server.log"
  start_cluster docs-server "$kind" "autovacuum = off"
  logged "$run_dir/log/docs-selftest.log" as_user "$tree/test/docs/selftest" || status=$?
  count_summary "$run_dir/log/docs-selftest.log" "$status"
  status=0
  logged "$run_dir/log/docs.log" as_user "$tree/test/docs/run" || status=$?
  count_summary "$run_dir/log/docs.log" "$status"
  stop_cluster docs-server || failed
}

# prove_files PART KIND FILE...: TAP tests with PostgreSQL's own Perl modules, each making its own servers.
prove_files() {
  local part=$1 build=$2 perl_lib pgxs_test name status=0
  shift 2
  need_extension "$build" || return 0
  ensure_packages clients pooler
  pgxs_test=$(dirname "$("$PG_CONFIG" --pgxs)")/../test
  perl_lib=$pgxs_test/perl
  if [[ ! -e $perl_lib/PostgreSQL/Test/Cluster.pm ]]; then
    left_out "$part: this PostgreSQL comes without PostgreSQL::Test"
    return
  fi
  make_user_dir "$run_dir/$part"
  logged "$run_dir/log/$part.log" as_user env -C "$tree" \
    PG_REGRESS="$pgxs_test/regress/pg_regress" PERL5LIB="$perl_lib:$tree/test/t" top_builddir="$run_dir/$part" PGPORT=65432 \
    TESTDIR="$run_dir/$part" TESTDATADIR="$run_dir/$part/tmp_check" TESTLOGDIR="$run_dir/$part/tmp_check/log" \
    PG_TEST_TIMEOUT_DEFAULT="${PG_TEST_TIMEOUT_DEFAULT:-180}" LIVE_QUERIES_BUILD="$build" \
    "$tree/test/lib/prove_each" "$@" || status=$?
  count_tap "$run_dir/log/$part.log" "$status"
  while read -r name; do
    show_on_failure "$run_dir/$part/tmp_check/log/regress_log_$name" "$run_dir/$part/tmp_check/log/$name"_*
  done < <(sed -nE 's/^.*\/([^/ ]+)\.pl +\(Wstat: .*/\1/p' "$run_dir/log/$part.log")
}

# shellcheck disable=SC2086  # a pattern
part_tap() { prove_files tap "$kind" "$tree"/test/t/${TESTS:-*}.pl; }

# The tests that hold, fail or kill a process at a fault point, which only a build made for it has.
# shellcheck disable=SC2086  # a pattern
part_faults() { prove_files faults faults "$tree"/test/faults/${TESTS:-*}.pl; }

# Whether the oracle notices bugs made on purpose, and none where every fault point sleeps at random.
part_mutations() {
  local status=0
  need_extension mutated || return 0
  ensure_packages clients
  show_on_failure "$run_dir/log/mutations-server.log"
  start_cluster mutations-server mutated
  # shellcheck disable=SC2086  # several names
  logged "$run_dir/log/mutations.log" as_user "$tree/test/oracle/mutations" ${MUTATIONS:-} || status=$?
  count_summary "$run_dir/log/mutations.log" "$status"
  stop_cluster mutations-server || failed
}

# Random writers and subscribers, and what they must have seen: each seed in another way of running it. The seeds are
# the same in every run but for the last. CI has little time for everything, so it takes fewer; and none that is
# new, since it is to fail for what a change did.
oracle_seeds() {
  if [[ -n ${IN_CHROOT:-} ]] && { is_candidate || [[ ${CI:-} == true ]]; }; then
    seq "${pg_version}1" "${pg_version}2"
  elif [[ -n ${IN_CHROOT:-} ]]; then
    seq "${pg_version}1" "${pg_version}4"
  elif [[ ${CI:-} == true ]]; then
    seq 1 8
  else
    seq 1 19
    echo "$RANDOM"
  fi
}

# oracle_run KIND SEED SECONDS [OPTION...]: on the running server, of that build; counts it.
oracle_run() {
  local build=$1 seed=$2 seconds=$3 status=0
  shift 3
  local again="ORACLE_SEEDS=$seed ORACLE_OPTIONS='${*:- }' test/run oracle"
  case $build in
    faults) again="FAULTS=1 $again" ;;
    undefined | address) again="test/run sanitized" ;;
  esac
  echo "oracle: seed $seed $*"
  logged "$run_dir/log/oracle-$build-$seed.log" as_user "$tree/test/oracle/run" --seed "$seed" --seconds "$seconds" "$@" || status=$?
  if ((status == 0)); then
    passed
    return
  fi
  failed
  echo "oracle: FAILED; again with: $again"
}

part_oracle() {
  local seed status=0 turn=0
  local ways=("" "--tiny-mailboxes" "--delays --small-decoding-mem" "--delays --tiny-mailboxes" "--evaluators 4")
  need_extension "$kind" || return 0
  ensure_packages clients
  logged "$run_dir/log/oracle-selftest.log" as_user "$tree/test/oracle/selftest" || status=$?
  count_summary "$run_dir/log/oracle-selftest.log" "$status"
  show_on_failure "$run_dir/log/oracle-server.log"
  start_cluster oracle-server "$kind"
  for seed in ${ORACLE_SEEDS:-$(oracle_seeds)}; do
    # shellcheck disable=SC2086  # several options
    oracle_run "$kind" "$seed" "${ORACLE_SECONDS:-30}" ${ORACLE_OPTIONS:-${ways[turn % ${#ways[@]}]}}
    turn=$((turn + 1))
  done
  stop_cluster oracle-server || failed
  [[ -n ${ORACLE_SEEDS:-} ]] || is_candidate || oracle_of_test_builds
}

# A session can choose between two workers, and evaluators be held back, in a build with fault points alone.
oracle_of_test_builds() {
  need_extension faults || return 0
  show_on_failure "$run_dir/log/oracle-faults-server.log"
  start_cluster oracle-faults-server faults
  oracle_run faults 1 20 --consumers 2
  oracle_run faults 2 20 --consumers 2 --tiny-mailboxes --share-all
  oracle_run faults 3 20 --shapes any --half-way --dirty-log 16kB --share-all
  oracle_run faults 4 20 --evaluators 4 --consumers 2 --clients 8
  stop_cluster oracle-faults-server || failed
}

# Every function of the extension with odd arguments in odd surroundings: a seed that is the same in every run, and a new
# one, but not in CI, as for the oracle.
fuzz_seeds() {
  if [[ -n ${IN_CHROOT:-} ]]; then
    echo "${pg_version}1"
  elif [[ ${CI:-} == true ]]; then
    echo "1 2"
  else
    echo "1 $RANDOM"
  fi
}

part_fuzz() {
  local seed status
  need_extension faults || return 0 # which counts what is left in shared memory
  ensure_packages clients
  show_on_failure "$run_dir/log/fuzz-server.log"
  start_cluster fuzz-server faults
  for seed in ${FUZZ_SEEDS:-$(fuzz_seeds)}; do
    status=0
    logged "$run_dir/log/fuzz-$seed.log" as_user "$tree/test/fuzz/run" --seed "$seed" --seconds "${FUZZ_SECONDS:-20}" \
      --log "$run_dir/log/fuzz-server.log" || status=$?
    if ((status == 0)); then
      passed
    else
      failed
      echo "fuzz: FAILED; again with: FUZZ_SEEDS=$seed test/run fuzz"
    fi
  done
  stop_cluster fuzz-server || failed
}

# The regression and isolation tests and a short oracle on builds that end a process at the first mistake it makes;
# then any bytes for whatever reads bytes.
part_sanitized() {
  local kind name status
  ensure_packages clients
  for kind in undefined address; do
    echo "with -fsanitize=$kind:"
    installcheck "sanitized-$kind" TAP_TESTS=
    [[ -e $run_dir/server-$kind/.installed ]] || continue
    name=sanitized-$kind-oracle
    show_on_failure "$run_dir/log/$name-server.log"
    start_cluster "$name-server" "$kind"
    oracle_run "$kind" 1 20 --tiny-mailboxes
    oracle_run "$kind" 2 15 --shapes any
    stop_cluster "$name-server" || failed
  done
  [[ -z ${IN_CHROOT:-} ]] || return 0 # the rest has no server in it
  echo "any bytes:"
  ensure_packages fuzz
  status=0
  with_build undefined copy_tree "$source_root" "$(build_dir undefined)"
  logged "$run_dir/log/fuzz.log" with_build undefined as_user make -s -C "$(build_dir undefined)/test/unit" fuzz || status=$?
  count_summary "$run_dir/log/fuzz.log" "$status"
}

# One short session on a server under valgrind.
part_valgrind() {
  local status=0
  logged "$run_dir/log/valgrind.log" env PG="$pg_version" "$source_root/test/valgrind/run" || status=$?
  count_summary "$run_dir/log/valgrind.log" "$status"
}

# Whether anything of a server grows that is used for long. SOAK=full takes hours.
part_soak() {
  local status=0 length=(--short)
  [[ ${SOAK:-} != full ]] || length=()
  need_extension "$kind" || return 0
  ensure_packages clients
  show_on_failure "$run_dir/log/soak-server.log"
  start_cluster soak-server "$kind" "max_connections = 600"
  logged "$run_dir/log/soak.log" as_user "$tree/test/soak/run" "${length[@]}" || status=$?
  count_summary "$run_dir/log/soak.log" "$status"
  stop_cluster soak-server || failed
}

# demo/run, without a terminal and in one.
part_demo() {
  local status=0
  ensure_packages clients
  logged "$run_dir/log/demo.log" env PG="$pg_version" "$source_root/test/demo" || status=$?
  count_summary "$run_dir/log/demo.log" "$status"
}

# The Python client, and on this machine's own version the recipes of other drivers.
# check_types: the client's types, by mypy, whose settings are in its pyproject.toml. That of Debian 12 does not know
# that a type parameter has a default, as those of psycopg's connections have: what it says of these is left out.
check_types() {
  local log=$run_dir/log/types.log found
  as_user env -C "$tree/clients/python" MYPYPATH="$psycopg_path" mypy --follow-imports=silent --cache-dir=/dev/null live_queries \
    </dev/null >"$log" 2>&1 || true
  found=$(grep '^live_queries/' "$log" | grep -vE 'error: "(Base|Async)?Connection" expects no type arguments' || true)
  if [[ -z $found ]] && grep -qE '^(Success|Found [0-9]+ errors?) ' "$log"; then
    passed && echo "ok      the types of the client"
  else
    show_on_failure "$log"
    echo "FAILED  the types of the client:" && printf '%s\n' "$found"
    failed
  fi
}

part_python() {
  local status=0 directories=("$tree/clients/python/tests")
  need_extension "$kind" || return 0
  ensure_packages clients pooler
  if [[ -z ${IN_CHROOT:-} ]]; then
    ensure_packages recipes types
    directories+=("$tree/clients/recipes")
  fi
  if ! ensure_psycopg; then
    show_on_failure "$run_dir/log/psycopg.log"
    left_out "python: no psycopg $psycopg_needed or later could be had"
    return
  fi
  [[ -n ${IN_CHROOT:-} ]] || check_types
  show_on_failure "$run_dir/log/python-server.log"
  start_cluster python-server "$kind" "max_connections = 50"
  logged "$run_dir/log/python.log" as_user env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$tree/clients/python:$psycopg_path" \
    PGDATA="$run_dir/python-server/data" PGLOG="$run_dir/log/python-server.log" \
    /usr/bin/python3 -X dev "$tree/test/lib/unittest_counts.py" "${directories[@]}" || status=$?
  count_summary "$run_dir/log/python.log" "$status"
  stop_cluster python-server || failed
}

chroot_timeout=1800

# make_chroot VERSION NAME: returns 1, having said why under that name, where it cannot be had.
make_chroot() {
  local log=$run_dir/log/chroot-$1.log status=0 why
  timeout "$chroot_timeout" "$source_root/test/chroot/make" "$1" </dev/null 2>&1 | tee "$log" || status=$?
  ((status)) || return 0
  show_on_failure "$log"
  why=$(tail -n 1 "$log")
  ((status != 124)) || why="not ready after $chroot_timeout s"
  left_out "$2 could not be made: ${why#test/chroot/make: }"
  return 1
}

# run_in_chroot VERSION ARGUMENT...: this program, on another version.
run_in_chroot() {
  local root
  root=$(chroot_path "$1")
  in_chroot --source "$source_root" "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/root TERM="${TERM:-dumb}" IN_CHROOT="$root" PG="$1" CI="${CI:-}" FAULTS="${FAULTS:-}" PART_TIMEOUT="$part_timeout" \
    ORACLE_SEEDS="${ORACLE_SEEDS:-}" ORACLE_SECONDS="${ORACLE_SECONDS:-}" ORACLE_OPTIONS="${ORACLE_OPTIONS:-}" \
    FUZZ_SEEDS="${FUZZ_SEEDS:-}" FUZZ_SECONDS="${FUZZ_SECONDS:-}" CLUSTER_SETTINGS="${CLUSTER_SETTINGS:-}" SOAK="${SOAK:-}" \
    /live_queries/test/run "${@:2}"
}

# What was built for this minor release, on the oldest one that Debian's archive still has: 15.18 lacks settings that later
# ones have.
part_minor() {
  local version old=$run_dir/minor
  version=$(apt-cache madison "postgresql-$pg_version" | awk '{ print $3 }' | sort -V | head -n 1)
  # shellcheck disable=SC2016  # dpkg-query's own placeholder
  if [[ -z $version || $version == "$(dpkg-query -W -f '${Version}' "postgresql-$pg_version")" ]]; then
    note "the archive has no older PostgreSQL $pg_version than the one installed"
    return
  fi
  need_extension "$kind" || return 0
  mkdir "$old"
  (
    cd "$old"
    in_rounds apt-get -q "${apt_options[@]}" download "postgresql-$pg_version=$version" "postgresql-client-$pg_version=$version" \
      "postgresql-server-dev-$pg_version=$version"
    for package in *.deb; do
      dpkg -x "$package" "$old"
    done
  ) >"$run_dir/log/minor-download.log" 2>&1 || {
    left_out "PostgreSQL $version: could not be downloaded"
    return
  }
  pg_config=$old/usr/lib/postgresql/$pg_version/bin/pg_config copy_server "$run_dir/server-minor"
  (cd "$run_dir/server-$kind" && find . -name 'live_queries*' -exec cp --parents -t "$run_dir/server-minor" {} +)
  touch "$run_dir/server-minor/.installed"
  echo "PostgreSQL $version"
  kind=minor installcheck minor ISOLATION= TAP_TESTS=
}

# The Debian packages are built, and installed, used and removed in a copy of this machine, which none of the other parts sees.
part_package() {
  local directory=$run_dir/package status=0
  if [[ $pg_config != /usr/lib/postgresql/* ]]; then
    note "package: this PostgreSQL is none of Debian's"
    return
  fi
  ensure_packages packaging
  show_on_failure "$run_dir/log/package.log"
  make_user_dir "$directory"
  copy_tree "$source_root" "$directory/live-queries"
  (
    cd "$directory/live-queries"
    as_user pg_buildext updatecontrol
    bash test/checks/debian_control.sh || exit 1
    as_user dpkg-buildpackage --no-sign --build=binary
  ) </dev/null >"$run_dir/log/package.log" 2>&1 || {
    echo "no package could be built"
    failed
    return
  }
  passed
  if ((EUID != 0)); then
    left_out "package: to install it needs root"
    return
  fi
  apt-get -q "${apt_options[@]}" check >/dev/null # waits until nobody installs something
  logged "$run_dir/log/package-installed.log" in_overlay "$run_dir" env -i LC_ALL=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$tree/test/package" "$pg_version" "$directory" || status=$?
  if ((status == 77)); then
    left_out "package: there can be no overlay of this machine to install it in"
    return
  fi
  count_summary "$run_dir/log/package-installed.log" "$status"
}

# The client for TypeScript, with what its package-lock.json names: its own tests, those that every client runs
# (clients/conformance), its hooks for React in Chromium, and its package in an empty project.
part_typescript() {
  local status=0
  local directory=$tree/clients/typescript
  need_extension "$kind" || return 0
  ensure_packages clients node browser pooler
  make_user_dir "$cache_dir/npm"
  export npm_config_cache=$cache_dir/npm npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
  show_on_failure "$run_dir/log/npm.log" "$run_dir/log/typescript-server.log"
  if ! in_rounds as_user env -C "$directory" npm ci --ignore-scripts --prefer-offline </dev/null >"$run_dir/log/npm.log" 2>&1; then
    tail -n 5 "$run_dir/log/npm.log"
    left_out "typescript: npm could not install what the tests need"
    return
  fi
  start_cluster typescript-server "$kind"
  # The server's log is written by the user too, who restarts it.
  logged "$run_dir/log/typescript.log" as_user env -C "$directory" PGDATA="$run_dir/typescript-server/data" \
    PGLOG="$run_dir/log/typescript-server.log" CHROMIUM=chromium npm test --silent || status=$?
  count_summary "$run_dir/log/typescript.log" "$status"
  stop_cluster typescript-server || failed
}

# The decoder names its plugin in output_plugin_libraries, where there is such a setting. Of 17 and 18, Debian's archive has no
# release without it. So this is a copy of the server in which it has another name, under which it allows the plugin from the
# start: as if there were none.
part_plugin_setting() {
  local setting=output_plugin_libraries renamed=unlisted_plugin_setting program
  need_extension "$kind" || return 0
  if ! has_setting "$kind" "$setting"; then
    note "PostgreSQL $pg_version has no $setting here: every other part has shown that"
    return
  fi
  cp -a "$run_dir/server-$kind" "$run_dir/server-renamed"
  program=$(server_bin renamed)/postgres
  LC_ALL=C sed -i "s/\x00$setting\x00/\x00$renamed\x00/g" "$program"
  if has_setting renamed "$setting" || ! has_setting renamed "$renamed"; then
    echo "$setting could not be renamed in $program"
    failed
    return
  fi
  passed
  CLUSTER_SETTINGS="$renamed = 'live_queries'
${CLUSTER_SETTINGS:-}" kind=renamed installcheck plugin_setting ISOLATION= TAP_TESTS=
}

# pg_upgrade from this version to the next one that is supported, in the chroot of that.
part_pg_upgrade() {
  local status=0
  if ((EUID != 0)) || [[ -n ${IN_CHROOT:-} ]]; then
    left_out "pg_upgrade: a chroot needs root"
    return
  fi
  make_chroot 17 "pg_upgrade: the chroot of PostgreSQL 17" || return 0
  logged "$run_dir/log/pg_upgrade.log" "$source_root/test/pg_upgrade" || status=$?
  count_summary "$run_dir/log/pg_upgrade.log" "$status"
}

# has_setting KIND NAME: whether that build's server knows such a setting.
has_setting() { as_user "$(server_bin "$1")/postgres" --describe-config | grep "^$2[[:space:]]" >/dev/null; }

# test/run itself, on a machine in a bad state.
part_selftest() {
  local status=0
  logged "$run_dir/log/selftest.log" "$source_root/test/selftest" || status=$?
  count_summary "$run_dir/log/selftest.log" "$status"
  ((EUID == 0)) || left_out "selftest: what needs root"
}

# The same suites on another version, inside its chroot.
part_chroot() {
  local version=$1 line status=0
  shift
  if ((EUID != 0)); then
    left_out "PostgreSQL $version: a chroot needs root"
    return
  fi
  make_chroot "$version" "PostgreSQL $version: its chroot" || return 0
  show_on_failure "$run_dir/log/pg$version.log"
  run_in_chroot "$version" "$@" </dev/null 2>&1 | tee "$run_dir/log/pg$version.log" | sed -u "s/^/$version| /" || status=$?
  while read -r line; do
    note "PostgreSQL $version, $line"
  done < <(grep '^left out: ' "$run_dir/log/pg$version.log")
  tail -n 1 "$run_dir/log/pg$version.log" >"$run_dir/log/pg$version.summary"
  count_summary "$run_dir/log/pg$version.summary" "$status"
}
