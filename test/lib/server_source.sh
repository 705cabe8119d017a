# The source of the server's package, with its test programs built: for what runs PostgreSQL's own tests. Sourced, after
# cluster.sh; the caller may set given, a directory with an unpacked source.
#
#   find_source      sets source, a copy that may be built in, and source_version
#   build_source     builds the test programs there
# shellcheck shell=bash disable=SC2034,SC2154  # variables for, and of, those who source it

# archive_lines: where this machine's packages come from, as lines for sources.list, for sources.
archive_lines() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed=
  [[ ! -e $keyring ]] || signed="[signed-by=$keyring] "
  if [[ -n ${DEBIAN_MIRROR:-} ]]; then
    echo "deb-src $signed$DEBIAN_MIRROR $(. /etc/os-release && echo "$VERSION_CODENAME") main"
  fi
  # shellcheck disable=SC2016  # apt-get's own placeholders
  apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
    sed -n "s|^Debian |deb-src $signed|p"
}

# download_source DIR: unpacks the newest source that the archive really has, that of the installed server first. apt's own
# configuration and lists stay as they are.
download_source() {
  local to=$1 apt=$1/apt options version installed
  local package=postgresql-$pg_version
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  archive_lines >"$apt/sources.list"
  options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$apt/lists"
    -o "Dir::Cache=$apt/cache")
  [[ $EUID != 0 ]] || options+=(-o APT::Sandbox::User=root)
  apt-get "${options[@]}" -q update </dev/null >"$apt/log" 2>&1 || die "apt-get update for sources: $(tail -n 2 "$apt/log")"
  # shellcheck disable=SC2016  # dpkg-query's own placeholder
  installed=$(dpkg-query -W -f '${source:Version}' "$package")
  for version in "$installed" $(apt-cache "${options[@]}" showsrc "$package" | sed -n 's/^Version: //p' | sort -V -r -u); do
    if (cd "$to" && apt-get "${options[@]}" -q source --only-source "$package=$version") </dev/null >>"$apt/log" 2>&1; then
      rm -rf "$apt"
      return
    fi
    warn "the archive has no source of $package $version"
  done
  die "the archive has no source of $package; give a directory with it: --source DIR"
}

# find_source: sets source to a copy that may be built in, kept for the next time.
find_source() {
  local from=${given:-} work
  [[ -x $pg_config ]] || ensure_packages build
  work=$cache_dir/server_suites/pg$("$pg_config" --version | sed -E 's/^[^0-9]*([0-9.]+).*/\1/')
  mkdir -p "$work"
  if [[ -z $from ]]; then
    if ! compgen -G "$work/postgresql-*/configure" >/dev/null; then
      command -v dpkg-source >/dev/null || die "to unpack sources, as root: apt-get install --no-install-recommends dpkg-dev"
      download_source "$work"
    fi
    from=$(dirname "$(compgen -G "$work/postgresql-*/configure" | tail -n 1)")
  fi
  [[ -x $from/configure ]] || die "$from: not an unpacked source of PostgreSQL"
  source_version=$(sed -n "s/^PACKAGE_VERSION='\(.*\)'/\1/p" "$from/configure")
  [[ $source_version == "$pg_version".* ]] || die "$from is PostgreSQL $source_version; the server is $pg_version"
  source=$work/build-$source_version-$(cksum <<<"$from" | cut -d' ' -f1)
  if [[ ! -e $source/.built ]]; then
    rm -rf "$source"
    cp -r --preserve=mode,timestamps,links "$from" "$source"
  fi
  ((EUID != 0)) || chown -R "$run_user:" "$source"
  # The tests' user has to get there.
  chmod a+x "$cache_dir" "$cache_dir/server_suites" "$work" "$source"
}

# build_source: the test programs alone; the server is the installed one.
build_source() {
  local log=$run_dir/log/build-source.log
  [[ ! -e $source/.built ]] || return 0
  # Sources from 17 on come without what bison, flex and perl generate.
  if ((pg_version >= 17)) && ! command -v bison flex >/dev/null; then
    die "as root: apt-get install --no-install-recommends bison flex"
  fi
  echo "building the test programs of PostgreSQL $source_version"
  {
    [[ ! -e $source/GNUmakefile ]] || as_user make -s -C "$source" distclean
    as_user env -C "$source" ./configure --without-readline --without-zlib --without-icu
    as_user make -s -j "$jobs" -C "$source/src/backend" generated-headers
    as_user make -s -j "$jobs" -C "$source/src/test/regress"
    as_user make -s -j "$jobs" -C "$source/src/test/isolation"
  } </dev/null >"$log" 2>&1 || { tail -n 30 "$log" && die "could not build the test programs"; }
  touch "$source/.built"
}
