# Debian chroots for the server versions that this machine's own release does not have, and a copy of the machine itself that
# may be changed. Sourced by test/run and by test/chroot/*; needs root. Nothing stays mounted: every command runs in a
# mount namespace and a process namespace of its own, which vanish with it, however it ends.
# shellcheck shell=bash

# chroot_suite VERSION: the Debian suite that has this PostgreSQL; fails where none is known.
chroot_suite() {
  case $1 in
    15) echo bookworm ;;
    17) echo trixie ;;
    18 | 19) echo sid ;;
    *) return 1 ;;
  esac
}

# chroot_addition VERSION: the suite on top of that one which has this PostgreSQL before its release, or nothing.
chroot_addition() { [[ $1 != 19 ]] || echo experimental; }

# chroot_path VERSION: where its chroot is kept. CHROOT_17=/some/where moves one, CHROOT_BASE all of them.
chroot_path() {
  local override=CHROOT_$1
  echo "${!override:-${CHROOT_BASE:-/var/cache/live_queries}/chroot-$1}"
}

# debian_mirror: the archive that this machine itself installs from; DEBIAN_MIRROR overrides it.
debian_mirror() {
  local codename
  if [[ -n ${DEBIAN_MIRROR:-} ]]; then
    echo "$DEBIAN_MIRROR"
    return
  fi
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016  # apt-get's own placeholders
  apt-get indextargets --format '$(CODENAME) $(ORIGIN) $(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v codename="$codename" '
      $NF ~ /\/debian\/?$/ && $(NF - 1) == "main" && (!codename || index($0, codename)) { print $NF; exit }'
}

# in_chroot [--source DIR] ROOT COMMAND...: runs a command in the chroot, with /proc, /dev, its own /dev/shm,
# and, where given, the directory DIR as /live_queries, which it cannot write to.
in_chroot() {
  local source=
  if [[ $1 == --source ]]; then
    source=$2
    shift 2
  fi
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --pid --fork --kill-child --propagation private bash -euc '
    source=$1 root=$2
    shift 2
    # So that its root is a mount, without which it could have no mount namespaces of its own.
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    if [ -n "$source" ]; then
      mkdir -p "$root/live_queries"
      mount --bind "$source" "$root/live_queries"
      mount -o remount,bind,ro "$root/live_queries"
    fi
    exec chroot "$root" "$@"
  ' in_chroot "$source" "$@"
}

# in_overlay DIR COMMAND...: runs a command in what looks like this machine, DIR included, and where packages may be installed:
# all that is written outside of DIR is in memory, and vanishes with the command. Returns 77 where there can be no such thing.
in_overlay() {
  unshare --mount true 2>/dev/null || return 77
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --propagation private bash -euc '
    for place in /usr /etc /var /var/lib; do
      ! mountpoint -q "$place" || exit 77
    done
    . "$1"
    directory=$2 layers=$2/overlay
    shift 2
    mkdir "$layers"
    mount -t tmpfs -o mode=755 tmpfs "$layers"
    mkdir "$layers"/{changes,work,root}
    root=$layers/root
    mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/changes,workdir=$layers/work" "$root" || exit 77
    mkdir -p "$root$directory"
    mount --bind "$directory" "$root$directory"
    cp -L --remove-destination /etc/resolv.conf /etc/hosts "$root/etc/"
    chmod 1777 "$root/tmp"
    # Nothing starts that belongs to the machine.
    printf "#!/bin/sh\nexit 101\n" >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    in_chroot "$root" "$@"
  ' in_overlay "$(dirname "${BASH_SOURCE[0]}")/chroot.sh" "$@"
}
