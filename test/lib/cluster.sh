# What test/run, demo/run and the benchmarks share: the packages needed, the user that runs things, a build of
# this tree, and throwaway servers. Sourced, by bash, under `set -Eeuo pipefail`.
#
# Nothing is installed into the machine's own PostgreSQL: the extension goes into a private copy of its
# installation (some 25 MB, mostly links), made for each run. So runs of several trees do not disturb each
# other, and no root is needed once the packages are there.
#
#   choose_server            sets pg_version, pg_config             (PG=NN or PG_CONFIG choose)
#   ensure_packages WHAT     build | repacking | checks | clients | node | browser | chroots | psycopg | psycopg_beside | pooler | recipes | fuzz | packaging | valgrind: by apt, if anything is missing
#   choose_user              sets run_user; as_user runs a command as that user
#   open_run                 a fresh directory, run_dir, removed at exit with all servers below it
#   build_extension KIND     copies the tree, compiles, installs into a private server
#   start_cluster NAME KIND [SETTING...], stop_cluster NAME
#
# A KIND of build is release, faults (with fault points), undefined or address (with that sanitizer), or valgrind.
#
# Variables: CACHE_DIR (compiled files and logs of failures), TMPDIR, JOBS, and CLUSTER_SETTINGS, lines for the
# postgresql.conf of every server.
# shellcheck shell=bash disable=SC2034  # its variables are for those who source it

source_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
jobs=${JOBS:-$(nproc)}
export LC_ALL=C.UTF-8 LANG=C.UTF-8

warn() { echo "$*" >&2; }

die() {
  warn "$(basename "$(dirname "$0")")/$(basename "$0"): $*"
  exit 1
}

# ---- the server, the packages, the user ----------------------------------------------------------------------

# server_is_native VERSION: whether this machine has that PostgreSQL, or its own release offers it.
server_is_native() {
  [[ -x /usr/lib/postgresql/$1/bin/postgres ]] && return
  command -v apt-cache >/dev/null && [[ -n $(apt-cache --names-only search "^postgresql-$1\$" 2>/dev/null) ]] && return
  # A machine whose package lists were never fetched: Debian 12 is known to have 15.
  [[ $1 == 15 && -e /etc/os-release ]] && grep -q '^VERSION_CODENAME=bookworm' /etc/os-release
}

choose_server() {
  if [[ -n ${PG_CONFIG:-} ]]; then
    pg_config=$(command -v "$PG_CONFIG") || die "PG_CONFIG=$PG_CONFIG: no such program"
    pg_version=$("$pg_config" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
  else
    pg_version=${PG:-15}
    pg_config=/usr/lib/postgresql/$pg_version/bin/pg_config
  fi
}

# is_candidate: whether this version is not released yet.
is_candidate() { ((pg_version > 18)); }

# Patience with an archive that does not answer at once, and with whoever else installs something.
apt_options=(-o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)

# in_rounds COMMAND...: until it succeeds, three times at most, with a pause: an archive may change
# between the list of its packages and the packages.
in_rounds() {
  local pause
  for pause in 10 30 0; do
    "$@" && return
    sleep "$pause"
  done
  return 1
}

# ensure_packages WHAT...: fails with a list of what is missing if it may not install it.
ensure_packages() {
  local what packages=() missing=() package
  for what; do
    case $what in
      build)
        packages+=(g++ make patch perl libkrb5-dev libpq-dev libncurses-dev nlohmann-json3-dev)
        [[ -n ${PG_CONFIG:-} ]] || packages+=("postgresql-$pg_version" "postgresql-server-dev-$pg_version")
        ;;
      # What gives a table another file, as far as Debian has it for this version.
      repacking)
        if [[ -z ${PG_CONFIG:-} ]] && ! is_candidate; then
          packages+=("postgresql-$pg_version-repack")
          ((pg_version < 17)) || packages+=("postgresql-$pg_version-squeeze")
        fi
        ;;
      checks) packages+=(clang-format-14 clang-tidy-14 g++-12 cppcheck shellcheck python3 patch libncurses-dev nlohmann-json3-dev) ;;
      clients) packages+=(libipc-run-perl python3 python3-psycopg2 procps tmux) ;;
      # Another node than Debian's brings its own npm.
      node) { command -v node && command -v npm; } >/dev/null || packages+=(nodejs npm) ;;
      browser) packages+=(chromium) ;;
      chroots) packages+=(debootstrap) ;;
      psycopg) packages+=(python3-psycopg) ;;
      pooler) packages+=(pgbouncer) ;;
      types) packages+=(mypy) ;;
      # What a psycopg of its own needs beside it.
      psycopg_beside) packages+=(python3-typing-extensions) ;;
      recipes) packages+=(gcc golang-go golang-github-jackc-pgx-v4-dev pkg-config libjson-c-dev libpostgresql-jdbc-java libgoogle-gson-java default-jdk-headless python3-pip python3-setuptools python3-wheel) ;;
      fuzz) packages+=(clang-14 libclang-rt-14-dev) ;;
      packaging) packages+=(build-essential debhelper dpkg-dev fakeroot postgresql-server-dev-all) ;;
      valgrind) packages+=(valgrind) ;;
    esac
  done
  if ! command -v dpkg-query >/dev/null; then
    warn "not a Debian system: trusting that these, or what they are called here, are present: ${packages[*]}"
    return
  fi
  for package in "${packages[@]}"; do
    # shellcheck disable=SC2016  # dpkg-query's own placeholder
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  local root=()
  if ((EUID != 0)); then
    root=(sudo -n)
    sudo -n true 2>/dev/null || die "as root: apt-get install --no-install-recommends ${missing[*]}"
  fi
  echo "installing ${missing[*]}"
  in_rounds install_packages "${missing[@]}" </dev/null >"${TMPDIR:-/tmp}/live_queries-apt.$$" 2>&1 || {
    tail -n 20 "${TMPDIR:-/tmp}/live_queries-apt.$$" >&2
    rm -f "${TMPDIR:-/tmp}/live_queries-apt.$$"
    die "could not install ${missing[*]}"
  }
  rm -f "${TMPDIR:-/tmp}/live_queries-apt.$$"
}

# install_packages NAME...: with the command `root`, of ensure_packages, before it.
install_packages() {
  "${root[@]}" apt-get -q "${apt_options[@]}" update &&
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a \
      apt-get -q -y "${apt_options[@]}" install --no-install-recommends "$@"
}

# A server refuses to run as root: root hands over to the user that Debian's package makes.
choose_user() {
  if ((EUID == 0)); then
    run_user=postgres
    cache_dir=${CACHE_DIR:-/var/cache/live_queries}
  else
    run_user=$(id -un)
    cache_dir=${CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/live_queries}
  fi
  mkdir -p "$cache_dir"
}

# as_user COMMAND...: with a home and a directory for temporary files that are the run's own.
as_user() {
  local become=()
  ((EUID != 0)) || become=(setpriv --reuid "$run_user" --regid "$(id -g "$run_user")" --init-groups --)
  HOME=$run_dir TMPDIR=$run_dir/tmp USER=$run_user LOGNAME=$run_user "${become[@]}" "$@" {run_lock}>&-
}

# make_user_dir DIR...: as the user's own.
make_user_dir() {
  mkdir -p "$@"
  ((EUID != 0)) || chown "$run_user:" "$@"
}

# ---- one run -------------------------------------------------------------------------------------------------

# Every run is recorded in a file that it keeps locked as long as it lives: where the lock is gone and the file is
# still there, the run was killed. No process that it starts may inherit the lock, servers least of all.
exec {run_lock}</dev/null

# open_run: sets run_dir, and cleans up after earlier runs that were killed. The caller traps EXIT for close_run.
open_run() {
  local base=${TMPDIR:-/tmp} directory free_kb runs_lock
  # A socket's path may have 107 bytes at most.
  ((${#base} <= 40)) && [[ -w $base ]] || base=/tmp
  for directory in "$base" "$cache_dir"; do
    free_kb=$(df -Pk "$directory" | awk 'NR == 2 { print $4 }')
    ((free_kb > 1000000)) || die "$directory has less than 1 GB free"
  done
  mkdir -p "$cache_dir/runs"
  exec {runs_lock}>"$cache_dir/runs.lock"
  flock "$runs_lock"
  remove_killed_runs
  run_dir=$(mktemp -d "$base/lq.XXXXXX")
  exec {run_lock}>"$cache_dir/runs/${run_dir##*/}"
  flock "$run_lock"
  echo "$run_dir" >&"$run_lock"
  exec {runs_lock}>&-
  make_user_dir "$run_dir" "$run_dir/tmp" "$run_dir/log"
  cd / # where every user may be
}

# release_run_lock: in a process of the run that may outlive it.
release_run_lock() {
  exec {run_lock}>&-
  exec {run_lock}</dev/null
}

# run_lives [RECORD]: whether this run, or that of a record, still goes on.
run_lives() {
  local record=${1:-$cache_dir/runs/${run_dir##*/}}
  [[ -e $record ]] && ! flock -n "$record" true
}

remove_killed_runs() {
  local record directory
  for record in "$cache_dir"/runs/*; do
    if [[ ! -e $record || $record == *.kept ]] || run_lives "$record"; then
      continue
    fi
    directory=$(cat "$record")
    warn "cleaning up after an earlier run that was killed: $directory"
    remove_run_dir "$directory"
    rm -f "$record"
  done
}

close_run() {
  [[ -n ${run_dir:-} ]] || return 0
  remove_run_dir "$run_dir"
  rm -f "$cache_dir/runs/${run_dir##*/}"
  run_dir=
}

# keep_run: the server stays after this process, until close_kept_runs ends it.
keep_run() {
  mv "$cache_dir/runs/${run_dir##*/}" "$cache_dir/runs/${run_dir##*/}.kept"
  run_dir=
}

close_kept_runs() {
  local record count=0
  for record in "$cache_dir"/runs/*.kept; do
    [[ -e $record ]] || continue
    remove_run_dir "$(cat "$record")"
    rm -f "$record"
    count=$((count + 1))
  done
  echo "stopped: $count"
}

# remove_run_dir DIR: ends every server whose data directory is below it, then removes it.
remove_run_dir() {
  local directory=$1 pid cwd signal
  [[ $directory == */lq.* && -d $directory ]] || return 0
  for signal in QUIT KILL; do
    local found=0
    while read -r -d '' file; do
      pid=$(head -n 1 "$file" 2>/dev/null || true)
      [[ $pid =~ ^[0-9]+$ ]] || continue
      # A postmaster's working directory is its data directory: never a foreign process with a reused pid.
      cwd=$(readlink "/proc/$pid/cwd" 2>/dev/null || true)
      [[ $cwd == "$(dirname "$file")" ]] || continue
      found=1
      kill "-$signal" "$pid" 2>/dev/null || true
      for _ in {1..50}; do
        [[ -e /proc/$pid ]] || break
        sleep 0.1
      done
    done < <(find "$directory" -name postmaster.pid -print0 2>/dev/null)
    ((found)) || break
  done
  # What still ends may still write.
  rm -rf "$directory" 2>/dev/null || { sleep 1 && rm -rf "$directory"; }
}

# ---- the build -----------------------------------------------------------------------------------------------

# list_sources DIR: the files of the tree, without what a build or a test run leaves behind.
list_sources() {
  (
    cd "$1" || exit
    find . \( -name .git -o -name build -o -name results -o -name tmp_check -o -name output_iso -o -name __pycache__ \
      -o -path ./log \) -prune -o \
      \( -type f -o -type l \) ! -name '*.o' ! -name '*.d' ! -name '*.so' ! -name '*.bc' ! -name '*.gcno' ! -name '*.gcda' \
      ! -name 'regression.*' -print
  )
}

# copy_tree FROM TO: makes TO's sources equal to FROM's. A file is touched only if its content differs, so that
# make compiles just what changed, and compiled files stay.
copy_tree() {
  local from=$1 to=$2 file
  mkdir -p "$to"
  list_sources "$from" | LC_ALL=C sort >"$to/.sources.new"
  while read -r file; do
    cmp -s "$from/$file" "$to/$file" && [[ -x $from/$file || ! -x $to/$file ]] && [[ ! -x $from/$file || -x $to/$file ]] &&
      continue
    mkdir -p "$to/$(dirname "$file")"
    cp --remove-destination "$from/$file" "$to/$file"
  done <"$to/.sources.new"
  if [[ -e $to/.sources ]]; then
    LC_ALL=C comm -23 "$to/.sources" "$to/.sources.new" | while read -r file; do
      rm -f "$to/$file" "$to/${file%.cpp}.o" "$to/${file%.cpp}.d"
    done
  fi
  mv "$to/.sources.new" "$to/.sources"
  ((EUID != 0)) || chown -R "$run_user:" "$to"
}

# build_dir KIND: where the objects of this tree, for this server, are kept from run to run.
build_dir() { echo "$cache_dir/build/$(cksum <<<"$source_root" | cut -d' ' -f1)-pg$pg_version-$1"; }

# with_build KIND COMMAND...: one at a time, also between runs.
with_build() {
  local directory lock status=0
  directory=$(build_dir "$1")
  shift
  mkdir -p "$(dirname "$directory")"
  exec {lock}>"$directory.lock"
  flock "$lock"
  "$@" || status=$?
  exec {lock}>&-
  return $status
}

# make_flags KIND: what make is told, one a line.
make_flags() {
  case $1 in
    release) echo PG_LIVE=yes ;;
    faults) printf '%s\n' FAULTS=1 PG_LIVE=yes ;;
    mutated) printf '%s\n' FAULTS=1 PG_LIVE=no ;;
    undefined) printf '%s\n' SANITIZE=undefined,float-divide-by-zero,float-cast-overflow PG_LIVE=no ;;
    address) printf '%s\n' SANITIZE=address SEPARATE_CHUNKS=1 PG_LIVE=no ;;
    valgrind) printf '%s\n' SEPARATE_CHUNKS=1 PG_LIVE=no ;;
  esac
}

# server_environment KIND: the variables that the server is started with, one a line.
server_environment() {
  local options=$run_dir/server-$1/sanitizer.so
  case $1 in
    undefined) echo "LD_PRELOAD=$options" ;;
    address) echo "LD_PRELOAD=$options $(g++ -print-file-name=libasan.so)" ;;
  esac
}

# build_extension KIND: compiles and installs into $run_dir/server-KIND; a warning is an error.
# The compiler's output goes to $run_dir/log/build-KIND.log. Returns 1 if that fails.
build_extension() {
  [[ -e $run_dir/server-$1/.installed ]] && return
  with_build "$1" build_and_install "$1"
}

build_and_install() {
  local kind=$1 directory stamp log=$run_dir/log/build-$1.log flags sources=$source_root
  directory=$(build_dir "$kind")
  mapfile -t flags < <(make_flags "$kind")
  # Where the compiler, the server's headers or the flags are others, start afresh.
  stamp="$("$pg_config" --version) $(g++ --version | head -n 1) $(cksum <"$source_root/Makefile") ${flags[*]}"
  [[ $(cat "$directory/.stamp" 2>/dev/null || true) == "$stamp" ]] || rm -rf "$directory"
  if [[ $kind == mutated ]]; then
    sources=$run_dir/sources-mutated
    mutate_copy "$sources" >"$log" 2>&1 || return 1
    [[ -e $directory ]] || with_build faults start_from_faults "$directory"
  fi
  copy_tree "$sources" "$directory" && copy_server "$run_dir/server-$kind" || return 1
  echo "$stamp" >"$directory/.stamp"
  as_user make -s -j "$jobs" -C "$directory" "${flags[@]}" PG_CONFIG="$pg_config" all </dev/null >"$log" 2>&1 || return 1
  if grep -q 'warning:' "$log"; then
    rm -f "$directory/.stamp" # so that the next run compiles, and warns, again
    return 1
  fi
  as_user make -s -C "$directory" "${flags[@]}" PG_CONFIG="$(server_bin "$kind")/pg_config" install </dev/null >>"$log" 2>&1 ||
    return 1
  if [[ $kind == undefined || $kind == address ]]; then
    as_user gcc -O1 -shared -fPIC -Wl,-z,initfirst -o "$run_dir/server-$kind/sanitizer.so" "$directory/test/lib/sanitizer.c" \
      </dev/null >>"$log" 2>&1 || return 1
  fi
  touch "$run_dir/server-$kind/.installed"
}

# mutate_copy DIR: a copy of the tree, with the deliberate bugs that are patches.
mutate_copy() {
  copy_tree "$source_root" "$1" && rm "$1/.sources" && "$source_root/test/oracle/mutations" --apply "$1"
}

# start_from_faults DIR: what the patches leave alone is compiled already, if there is a build of that kind.
start_from_faults() {
  local from
  from=$(build_dir faults)
  [[ -e $from/.stamp ]] || return 0
  cp -a "$from" "$1"
  find "$1" -name '*.d' -exec sed -i "s|$from/|$1/|g" {} +
}

# copy_server DIR: a private copy of the PostgreSQL installation. PostgreSQL finds its libraries and its share
# directory from where its program is, as long as their relative places are kept: programs are copied, all
# else is linked.
copy_server() {
  local to=$1 bin lib share include prefix
  bin=$("$pg_config" --bindir) lib=$("$pg_config" --pkglibdir) share=$("$pg_config" --sharedir)
  include=$("$pg_config" --includedir-server)
  prefix=$bin
  while [[ "$lib/" != "$prefix/"* || "$share/" != "$prefix/"* || "$include/" != "$prefix/"* ]]; do
    prefix=${prefix%/*}
  done
  rm -rf "$to"
  mkdir -p "$to${bin#"$prefix"}" "$to${lib#"$prefix"}" "$to${share#"$prefix"}" "$to$(dirname "${include#"$prefix"}")"
  cp -L "$bin"/* "$to${bin#"$prefix"}"
  cp -as "$lib/." "$to${lib#"$prefix"}"
  cp -as "$share/." "$to${share#"$prefix"}"
  ln -s "$include" "$to${include#"$prefix"}"
  # An installed live_queries has no place in it.
  find "$to" \( -name 'live_queries*' -o -name 'pg_live*' \) -prune -exec rm -rf {} +
  echo "${bin#"$prefix"}" >"$to/.bin"
  ((EUID != 0)) || chown -R -h "$run_user:" "$to"
}

# server_bin KIND: the directory of the private server's programs.
server_bin() { echo "$run_dir/server-$1$(cat "$run_dir/server-$1/.bin")"; }

# use_server KIND: PG_CONFIG and PATH for what is started from here on.
use_server() {
  PG_CONFIG=$(server_bin "$1")/pg_config
  PATH=$(server_bin "$1"):$PATH
  export PG_CONFIG PATH
}

# ---- a throwaway server --------------------------------------------------------------------------------------

# start_cluster NAME KIND [SETTING...]: a fresh cluster with live_queries preloaded, reachable by its socket alone.
# Sets PGHOST, PGPORT, PGUSER and PGDATABASE for it; its log is $run_dir/log/NAME.log. Where server_program is set, pg_ctl
# starts that instead of postgres.
start_cluster() {
  local name=$1 kind=$2 bin data socket environment
  shift 2
  bin=$(server_bin "$kind") data=$run_dir/$name/data socket=$run_dir/$name
  make_user_dir "$socket"
  chmod 700 "$socket"
  as_user "$bin/initdb" -D "$data" -U postgres -A trust --no-locale --encoding=UTF8 --no-sync --no-instructions \
    </dev/null >"$run_dir/log/$name-initdb.log" 2>&1 || {
    cat "$run_dir/log/$name-initdb.log" >&2
    return 1
  }
  {
    echo "shared_preload_libraries = 'live_queries'"
    echo "wal_level = logical"
    echo "listen_addresses = ''"
    echo "unix_socket_directories = '$socket'"
    echo "max_prepared_transactions = 20"
    echo "max_replication_slots = 20"
    echo "max_wal_senders = 10"
    echo "max_worker_processes = 20"
    echo "fsync = off"
    echo "log_line_prefix = '%m [%p] %b %q%a %d '"
    printf '%s\n' "$@" "${CLUSTER_SETTINGS:-}"
  } >>"$data/postgresql.conf"
  mapfile -t environment < <(server_environment "$kind")
  echo "$bin" >"$run_dir/$name/bin"
  as_user env "${environment[@]}" "$bin/pg_ctl" -D "$data" -p "${server_program:-$bin/postgres}" -w -t 180 -l "$run_dir/log/$name.log" \
    start </dev/null >"$run_dir/log/$name-start.log" 2>&1 || {
    tail -n 20 "$run_dir/log/$name-start.log" "$run_dir/log/$name.log" >&2
    return 1
  }
  export PGHOST=$socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

# stop_cluster NAME: a server that does not stop within two minutes, or whose log shows a crash or something
# leaked, is a failure: returns 1.
stop_cluster() {
  local name=$1 data=$run_dir/$1/data log=$run_dir/log/$1.log status=0 bin
  [[ -e $data/postmaster.pid ]] || { warn "$name: the server is not running" && return 1; }
  bin=$(cat "$run_dir/$name/bin")
  if ! as_user "$bin/pg_ctl" -D "$data" -m fast -w -t 120 stop </dev/null >/dev/null 2>&1; then
    warn "$name: the server did not stop within 120 s"
    ps -o pid,stat,wchan:20,args --ppid "$(head -n 1 "$data/postmaster.pid")" >&2 || true
    as_user "$bin/pg_ctl" -D "$data" -m immediate -w -t 30 stop </dev/null >/dev/null 2>&1 || true
    status=1
  fi
  if grep -m 5 -E 'PANIC:|TRAP:|was terminated by signal|WARNING: .*(leak|still referenced|AbortTransaction while)' "$log" >&2; then
    warn "$name: the server's log shows a crash or a leak"
    status=1
  fi
  if grep -m 1 -A 30 -E 'runtime error: |==ERROR: AddressSanitizer|Assertion .* failed' "$log" >&2; then
    warn "$name: the server's log shows what a sanitizer found"
    status=1
  fi
  return $status
}
