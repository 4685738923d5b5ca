#!/usr/bin/env bash
# Packs hw-test with everything that it needs besides libc and the driver: bundle.sh TEST_BINARY BINARIES ARCHIVE
# TEST_BINARY is the built hw test, BINARIES the folder of headend and headend-worker of the same build.
set -euo pipefail
cd "$(dirname "$0")/.."
test_binary=$1 binaries=$2 archive=$(realpath -m "$3")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=headend-hw-bundle
root=$work/$name
mkdir -p "$root"/{bin,lib,clips,fallback}

for binary in "$binaries/headend" "$binaries/headend-worker"; do
  strip --strip-debug -o "$root/bin/$(basename "$binary")" "$binary"
done
strip --strip-debug -o "$root/bin/hw" "$test_binary"

# What is libc's own is the machine's: a loader and a libc of two builds do not go together.
libc='^(ld-linux.*|linux-vdso|libc|libm|libdl|libpthread|librt|libresolv|libutil|libanl)\.so'
for binary in "$root"/bin/*; do ldd "$binary"; done | awk '$2 == "=>" && $3 ~ /^\// {print $1, $3}' | sort -u |
  while read -r library path; do
    [[ $library =~ $libc ]] && continue
    cp -L "$path" "$root/lib/$library"
  done

"$test_binary" --clips "${HW_CLIPS:-target/hw-clips}" --carry-clips "$root/clips"
printf '#!/bin/sh\nkill "$@"\n' >"$root/fallback/kill"
install -m 755 hw-tests/run.sh "$root/run.sh"
chmod 755 "$root/fallback/kill"
git describe --always --dirty >"$root/commit"

mkdir -p "$(dirname "$archive")"
tar -C "$work" -czf "$archive" "$name"
echo "$archive: $(du -h "$archive" | cut -f1); unpack it on the machine with the card and run $name/run.sh"
