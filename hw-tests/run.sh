#!/bin/sh
# Runs hw-test out of an unpacked bundle, offline. Options are hw-test's (--quick, --only CHECK,..., --gpu N, --cycles N, --report FILE).
here=$(cd "$(dirname "$0")" && pwd)
# What is set already goes first: a driver outside of the loader's path, or its doubles.
LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/lib"
# `kill` is a program of its own on most machines and only the shell's on some.
PATH="$PATH:$here/fallback"
HEADEND_BIN="$here/bin/headend"
HEADEND_COMMIT=$(cat "$here/commit")
export LD_LIBRARY_PATH PATH HEADEND_BIN HEADEND_COMMIT
exec "$here/bin/hw" --clips "$here/clips" --report "$here/hw-report.md" "$@"
