# A booted container of Debian, for tests/box/run: a tree made by debootstrap, booted by systemd-nspawn with a network of its own
# that reaches nothing. Sourced; `tree`, `suite` and `log` are set there.

leader=
nspawn=

# make_base SUITE TREE PACKAGE: a tree with a fresh Debian, and what PACKAGE depends on in apt's cache, since the booted one reaches no mirror.
make_base() {
  local suite=$1 base=$2 package=$3
  if [ ! -e "$base/.made" ]; then
    rm -rf "$base"
    debootstrap --include=systemd,systemd-sysv,dbus,ca-certificates,iproute2,curl,procps "$suite" "$base" http://deb.debian.org/debian >"$log/debootstrap" \
      || { tail -n 5 "$log/debootstrap" >&2; exit 1; }
    touch "$base/.made"
  fi
  cp "$package" "$base/root/headend.deb"
  cp -L /etc/resolv.conf "$base/etc/resolv.conf"
  cp -r /etc/apt/apt.conf.d/. "$base/etc/apt/apt.conf.d/"
  rm -f "$base"/etc/apt/apt.conf.d/docker-*
  chroot "$base" apt-get update -qq
  chroot "$base" apt-get install -y -qq --no-install-recommends --download-only /root/headend.deb faketime >"$log/download" 2>&1 \
    || { tail -n 5 "$log/download" >&2; exit 1; }
  # The second wall clock of the story of the clock step; put there by hand, since a user's machine does not have it.
  mkdir -p "$base/opt/faketime"
  for archive in "$base"/var/cache/apt/archives/libfaketime_*.deb; do dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$base/opt/faketime"; done
}

# fresh_box BASE: a copy of BASE, booted.
fresh_box() {
  stop_box
  rm -rf "$tree"
  cp -a --reflink=auto "$1" "$tree"
  echo box >"$tree/etc/hostname"
  boot_box
}

boot_box() {
  systemd-nspawn --boot --quiet --register=no --keep-unit --private-network --directory "$tree" </dev/null >>"$log/console" 2>&1 &
  nspawn=$!
  wait_for 60 "the container boots" booted
}

# boot_again: waits for the container to shut down for a reboot, and does what the firmware does. With --keep-unit systemd-nspawn ends
# with 133 for that.
boot_again() {
  local status=0
  wait_for 90 "the container shuts down" gone
  wait "$nspawn" || status=$?
  nspawn= leader=
  [ $status -eq 133 ] || fail "the container ended with $status and did not reboot"
  boot_box
}
gone() { ! kill -0 "$nspawn" 2>/dev/null; }

find_leader() { leader=$(ps --no-headers -o pid --ppid "$nspawn" | tail -n 1 | tr -d ' '); [ -n "$leader" ]; }
booted() { find_leader && [[ $(inside systemctl is-system-running 2>/dev/null) =~ running|degraded ]]; }

stop_box() {
  [ -n "$nspawn" ] || return 0
  # SIGTERM asks the container to power off; the second try takes it away.
  kill "$nspawn" 2>/dev/null || true
  for _ in $(seq 300); do kill -0 "$nspawn" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$nspawn" 2>/dev/null || true
  wait "$nspawn" 2>/dev/null || true
  nspawn= leader=
}

# inside COMMAND...: runs it in the container, as its root.
inside() {
  nsenter -t "$leader" -m -u -i -n -p -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# beside COMMAND...: runs a program of this machine on the container's network: a player need not be installed there.
beside() { nsenter -t "$leader" -n -- "$@"; }

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds.
wait_for() {
  local seconds=$1 what=$2 end=$((SECONDS + $1))
  shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || fail "not within $seconds s: $what"
    sleep 0.2
  done
}
