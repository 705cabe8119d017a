# psycopg for the Python client, which needs 3.2.4 or later: Debian has it from trixie on. Where the machine's own release has
# an earlier one, the package of trixie, which is pure Python, is fetched by apt, which verifies it, and unpacked beside
# the tests. Sourced by test/run, after cluster.sh and chroot.sh.
# shellcheck shell=bash disable=SC2154,SC2034  # run_dir and cache_dir are those of cluster.sh

psycopg_needed=3.2.4
psycopg_suite=trixie

# ensure_psycopg: sets psycopg_path, which PYTHONPATH has to have in it; fails where there is none to be had.
ensure_psycopg() {
  local candidate directory=$cache_dir/psycopg
  psycopg_path=
  candidate=$(apt-cache policy python3-psycopg | awk '$1 == "Candidate:" { print $2 }')
  if [[ -n $candidate && $candidate != "(none)" ]] && dpkg --compare-versions "$candidate" ge "$psycopg_needed"; then
    ensure_packages psycopg
    return
  fi
  ensure_packages psycopg_beside
  psycopg_path=$directory/usr/lib/python3/dist-packages
  [[ ! -e $directory/.complete ]] || return 0
  rm -rf "$directory"
  mkdir -p "$directory"
  echo "fetching psycopg of $psycopg_suite"
  in_rounds fetch_psycopg "$directory" </dev/null >"$run_dir/log/psycopg.log" 2>&1 || return 1
  touch "$directory/.complete"
}

# fetch_psycopg DIR: by package lists of its own, so that nothing else of this machine sees that suite.
fetch_psycopg() {
  local directory=$1 lists options
  lists=$(mktemp -d "$run_dir/tmp/psycopg.XXXXXX") # removed with the run
  chmod 755 "$lists"
  mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $psycopg_suite main" >"$lists/sources.list"
  options=("${apt_options[@]}" -q -o "Dir::Etc::sourcelist=$lists/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$lists/lists" -o "Dir::Cache=$lists/cache" -o APT::Get::AllowUnauthenticated=false)
  # shellcheck disable=SC2016  # dpkg-deb's own placeholder
  (cd "$lists" && apt-get "${options[@]}" update && apt-get "${options[@]}" download python3-psycopg &&
    dpkg --compare-versions "$(dpkg-deb --showformat='${Version}' --show python3-psycopg_*.deb)" ge "$psycopg_needed" &&
    dpkg-deb -x python3-psycopg_*.deb "$directory")
}
